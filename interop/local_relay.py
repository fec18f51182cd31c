"""A relay of nostr-sdk for Python, in memory, with NIP-77: interop/sync and interop/oracle ask it.

usage: local_relay.py PORT CAP
"""

import asyncio
import sys

from nostr_sdk import LocalRelayBuilder, RateLimit


async def main():
    relay = (
        LocalRelayBuilder()
        .addr("127.0.0.1")
        .port(int(sys.argv[1]))
        # By default it takes one event a second.
        .rate_limit(RateLimit(max_reqs=500, notes_per_minute=10_000_000))
        .max_filter_limit(int(sys.argv[2]))
        .build()
    )
    await relay.run()
    print(await relay.url(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
