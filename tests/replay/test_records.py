"""Lines of any kind: the good ones are kept as they are, the others counted and named."""

import json
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loadgen.replay.records import KEY_FIELDS, TIME_FIELDS, FieldReader, ReadCounts
from loadgen.replay.times import time_us

values = st.one_of(st.integers(0, 2**63 - 1), st.sampled_from([1_700_000_000_000, 1_700_000_000]), st.none(), st.text())
objects = st.dictionaries(st.sampled_from(["ts", "timestamp", "userId", "user", "x"]), values | st.floats())
lines_of_objects = objects.map(lambda record: json.dumps(record, ensure_ascii=False).encode())
usual = st.builds(
    lambda ts, user: orjson.dumps({"ts": ts, "userId": user}), st.integers(10**12, 2 * 10**12), st.integers(0, 10**9)
)
broken = st.sampled_from([b"", b" ", b"x", b"[]", b"{", b'{"ts":1}{"ts":2}', b'{"ts":1} {', b'{"ts":"\xff"}', b"null"])
bytes_of_lines = st.binary(max_size=20).map(lambda data: data.replace(b"\n", b""))
lines = st.lists(usual) | st.lists(usual | lines_of_objects | broken | bytes_of_lines)


def reader() -> FieldReader:
    return FieldReader(TIME_FIELDS, KEY_FIELDS, ReadCounts())


def expected(line: bytes) -> tuple[int, bytes, bytes | None] | None:
    """Time, line and key of an event, by orjson alone."""
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    times = [found for name in TIME_FIELDS if (found := time_us(record.get(name))) is not None]
    keys = [record[name] for name in KEY_FIELDS if record.get(name) is not None]
    texts = [key.encode() if isinstance(key, str) else orjson.dumps(key) for key in keys]
    return (times[0], line + b"\n", texts[0] if texts else None) if times else None


@given(lines)
def test_lines_give_the_events_that_orjson_finds_in_them_and_the_rest_is_counted(found: list[bytes]) -> None:
    data, fields = b"".join(line + b"\n" for line in found), reader()
    records = fields.lines(data, "f", 1)
    wanted = [expected(line) for line in found if line.strip()]
    got = zip(records.time_us.tolist(), records.value.to_pylist(), records.key.to_pylist(), strict=True)
    assert list(got) == [one for one in wanted if one]
    counts = fields.counts
    assert counts.read == len(wanted) == len(records) + counts.broken + counts.without_time
    numbers = [at for at, line in enumerate(found, 1) if line.strip() and expected(line) is None]
    assert [int(name.split(":")[1]) for name in counts.named] == numbers[:5]


def test_rows_become_objects_of_what_is_not_null_with_nested_values_and_times_of_their_own() -> None:
    at = pa.array([1_700_000_000_000_000, None], pa.timestamp("us", "UTC"))
    table = pa.table({"at": at, "userId": [1, 2], "tags": [["a"], None], "x": [None, 0.5]})
    fields = FieldReader(("at",), ("userId",), ReadCounts())
    records = fields.rows(table, "t", 1)
    assert records.time_us.tolist() == [1_700_000_000_000_000]
    assert orjson.loads(records.value[0].as_py()) == {"at": "2023-11-14T22:13:20+00:00", "userId": 1, "tags": ["a"]}
    assert records.key.to_pylist() == [b"1"]
    assert (fields.counts.without_time, fields.counts.named) == (1, ["t: row 2: no time in at"])
