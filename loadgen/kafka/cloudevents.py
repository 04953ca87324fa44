"""CloudEvents 1.0 in Kafka's structured mode: a message's value is an envelope of JSON, whose `data` is the event.

In: the values of messages. Out: the events in them; a value that is no such envelope is the event itself.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

import orjson

SOURCE = "/loadgen"
DATA = ',"datacontenttype":"application/json","data":'
"""What stands before the event in the envelopes that loadgen makes; behind it there is only the last brace."""
_OWN = re.compile(rb'\{"specversion":"1\.0","id":"[^"]*","source":"%s",' % SOURCE.encode())
_FIRST = b'{"specversion":'
Value = TypeVar("Value", bytes, bytes | None)


def unwrapped(values: Sequence[Value]) -> Sequence[Value]:
    """The events in these values; the same sequence where none is an envelope that begins with its version."""
    if not any(value is not None and value.startswith(_FIRST) for value in values):
        return values
    return [_event(value) if value is not None and value.startswith(_FIRST) else value for value in values]


def _event(value: bytes) -> bytes:
    if _OWN.match(value) and value.endswith(b"}"):  # byte for byte, also of an event that is broken on purpose
        return value[value.find(DATA.encode()) + len(DATA) : -1]
    try:
        data = orjson.loads(value).get("data")
    except orjson.JSONDecodeError:
        return value
    return orjson.dumps(data) if isinstance(data, dict) else value
