"""Asks our embedded relay through a second client library: nostr-sdk, the Python one.

    python sdk.py OUR_RELAY_URL RELAY_URL API_URL
"""

import asyncio
import json
import os
import sys
import urllib.request
from contextlib import contextmanager
from datetime import timedelta

from nostr_sdk import (
    ClientBuilder,
    EventBuilder,
    Filter,
    Keys,
    Kind,
    RelayUrl,
    ReqTarget,
    SignerAuthenticator,
    Tag,
    uniffi_set_event_loop,
)

SECONDS = 20


@contextmanager
def check(name):
    """Prints how one check went and counts it."""
    try:
        yield
        outcome, note = "passed", ""
    except Exception as error:  # noqa: BLE001: whatever goes wrong is the check's outcome
        outcome, note = "failed", f": {error or type(error).__name__}"
    print(("ok      " if outcome == "passed" else "FAILED  ") + name + note, flush=True)
    with open(os.environ.get("INTEROP_RESULTS", os.devnull), "a", encoding="utf-8") as results:
        results.write(f"{outcome}\n")


def tag_values(event, name):
    """The values of all tags with this name."""
    return [tag.to_vec()[1] for tag in event.tags() if tag.to_vec()[0] == name]


def rest(api, path):
    """What the REST mirror says."""
    with urllib.request.urlopen(f"{api}/v1{path}", timeout=SECONDS) as response:
        return json.load(response)


async def answers(client, request):
    """Sends a job and yields the events that refer to it, until the result."""
    stream = client.notifications()
    wanted = Filter().kinds([Kind(7_000), Kind(6_450)]).event(request.id())
    await client.subscribe(ReqTarget.auto([wanted]))
    sent = await client.send_event(request)
    assert not sent.failed, f"the relay refused the job: {sent.failed}"
    while True:
        notification = await stream.next()
        if notification.is_new_event() and request.id().to_hex() in tag_values(notification.event, "e"):
            yield notification.event
            if notification.event.kind().as_u16() == 6_450:
                return


async def main(ours, theirs, api):
    # What signs for NIP-42 is called from another thread.
    uniffi_set_event_loop(asyncio.get_running_loop())
    client = ClientBuilder().build()
    await client.add_relay(RelayUrl.parse(ours))
    await client.connect(timedelta(seconds=SECONDS))

    with check("nostr-sdk reads the kind 30166 report about the third-party relay"):
        reports = await client.fetch_events(
            ReqTarget.auto([Filter().kind(Kind(30_166))]), timedelta(seconds=SECONDS)
        )
        found = [e for e in reports if tag_values(e, "d")[0].rstrip("/") == theirs.rstrip("/")]
        assert len(found) == 1, f"{len(found)} of {len(reports)} reports are about it"
        assert found[0].verify(), "its signature is wrong"
        assert int(tag_values(found[0], "rtt-open")[0]) >= 0
        assert json.loads(found[0].content())["name"] == "interop relay"

    with check("nostr-sdk gets a kind 5450 job answered as REST answers it"):
        keys = Keys.generate()
        tags = [["i", "events.stats", "text"], ["param", "window", "all"]]
        request = EventBuilder(Kind(5_450), "").tags([Tag.parse(tag) for tag in tags]).finalize(keys)

        async def collect():
            return [event async for event in answers(client, request)]

        received = await asyncio.wait_for(collect(), SECONDS)
        assert all(event.verify() for event in received), "a signature is wrong"
        statuses = [value for event in received for value in tag_values(event, "status")]
        assert "processing" in statuses, f"the feedback is {statuses}"
        result = received[-1]
        assert tag_values(result, "p") == [keys.public_key().to_hex()], "p is wrong"
        assert json.loads(tag_values(result, "request")[0])["id"] == request.id().to_hex(), "request is wrong"
        answer, mirror = json.loads(result.content()), rest(api, "/events/stats?window=all")
        assert answer["data"] == mirror["data"], f"{answer['data']} is not {mirror['data']}"

    with check("nostr-sdk reconciles with our relay (NIP-77)"):
        wanted = Filter().kinds([Kind(kind) for kind in (0, 10_002, 10_166, 30_166)])
        served = await client.fetch_events(ReqTarget.auto([wanted]), timedelta(seconds=SECONDS))
        fresh = ClientBuilder().build()
        await fresh.add_relay(RelayUrl.parse(ours))
        await fresh.connect(timedelta(seconds=SECONDS))
        summary = await asyncio.wait_for(fresh.sync(wanted), SECONDS)
        assert not summary.failed, f"it failed: {summary.failed}"
        there = sorted(event.id().to_hex() for event in served)
        got = sorted(event_id.to_hex() for event_id in summary.report.received)
        assert there and got == there, f"{len(got)} events of {len(there)}"
        await fresh.shutdown()

    with check("nostr-sdk authenticates and publishes a protected event (NIP-42, NIP-70)"):
        author = Keys.generate()
        tags = [["-"], ["p", Keys.generate().public_key().to_hex()]]
        event = EventBuilder(Kind(5_450), "").tags([Tag.parse(tag) for tag in tags]).finalize(author)
        sent = await client.send_event(event)
        refused = str(list(sent.failed.values()))
        assert "auth-required" in refused, f"without authentication: {refused}"
        known = ClientBuilder().authenticator(SignerAuthenticator(author)).build()
        await known.add_relay(RelayUrl.parse(ours))
        await known.connect(timedelta(seconds=SECONDS))
        sent = await asyncio.wait_for(known.send_event(event), SECONDS)
        assert not sent.failed, f"with authentication: {sent.failed}"
        await known.shutdown()

    await client.shutdown()


asyncio.run(main(*sys.argv[1:]))
