"""Values of messages as lines of JSON: a line feed in one separates its fields, and is no fault.

In: values. Out: the same JSON without line feeds.
"""

import orjson


def folded(value: bytes) -> bytes:
    """JSON on one line; a string in JSON has no line feed, so what is replaced is white space between fields."""
    return value.strip().replace(b"\n", b" ") if b"\n" in value else value


def folded_if_json(value: bytes) -> bytes | None:
    """A value on one line; None where it has line feeds and is not JSON."""
    if b"\n" not in value:
        return value
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return folded(value)
