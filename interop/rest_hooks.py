"""What Schemathesis cannot find in the description: cursors and things that exist.

A pattern cannot say which cursors the node gave out, so that a made-up one, though it looks right,
is refused. Where data is meant to be valid, made-up cursors are left out; those that come from an
answer, by the description's links, stay. Every other valid request asks about something that is
there, or most answers were 404.
"""

import base64
import json
import os

import schemathesis

# Of parameters in paths, by their names: {"url": …, "pubkey": …, "id": …}
REAL = json.loads(os.environ.get("INTEROP_REAL", "{}"))


def is_given_out(cursor):
    try:
        order, keys = json.loads(base64.urlsafe_b64decode(str(cursor) + "=="))
        return isinstance(order, str) and isinstance(keys, list)
    except (ValueError, TypeError):
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    if case.query and "cursor" in case.query and not is_given_out(case.query["cursor"]):
        del case.query["cursor"]
    if sum(case.id.encode()) % 2:
        for name in set(case.path_parameters or {}) & set(REAL):
            case.path_parameters[name] = REAL[name]
