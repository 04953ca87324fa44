"""A message with line feeds is one line where it is JSON, and none where it is not."""

import orjson
import pytest

from loadgen.store.json_lines import folded_if_json


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b'{"a":1}', b'{"a":1}'),
        (b'{"a":1}\n', b'{"a":1}'),
        (b'\r\n{\n "a": "b\\nc",\n "d": 1\n}\n', b'{  "a": "b\\nc",  "d": 1 }'),
        (b"no JSON", b"no JSON"),
        (b'{"a":1}\n{"a":2}', None),
        (b'{"a":"b\nc"}', None),
        (b"no\nJSON", None),
        (b"\n", None),
    ],
)
def test_only_white_space_between_fields_is_folded(value: bytes, line: bytes | None) -> None:
    assert folded_if_json(value) == line
    if line and line != b"no JSON":
        assert orjson.loads(line) == orjson.loads(value)
