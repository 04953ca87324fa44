"""A broken line is no valid record, whatever its format, and still one line; all others stay as they are."""

from datetime import datetime
from functools import cache

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.encode.lines import Encoder
from loadgen.encode.malform import BREAKS, malform
from loadgen.encode.tracks import make_track_parts
from loadgen.event import UInt64s
from loadgen.fingerprint import hash_strings
from loadgen.formats import FORMATS, format_of
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names

LISTENERS = some_listeners(20, np.random.default_rng(1))


@cache
def encoder_of(wire_format: str) -> Encoder:
    parts = make_track_parts(TinyCatalog(), format_of(wire_format))
    return Encoder(format_of(wire_format), parts, LABELS, LISTENERS, user_names)


def encoded(wire_format: str, n: int, seed: int = 1) -> tuple[pa.BinaryArray, UInt64s]:
    """n lines and their hashes."""
    return encoder_of(wire_format).encode(some_events(n, LISTENERS, np.random.default_rng(seed)))


def what_is_wrong(line: bytes) -> str:
    """What a strict reader has against a line; empty for a good record."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not JSON, or cut off"
    if isinstance(record.get("ts"), int):
        return ""
    try:
        datetime.fromisoformat(record["timestamp"])
    except (KeyError, ValueError):
        return "time"
    return ""


@pytest.mark.parametrize("wire_format", FORMATS)
def test_each_kind_of_break_occurs_and_none_leaves_a_valid_record(wire_format: str) -> None:
    lines, hashes = encoded(wire_format, 400)
    assert not any(what_is_wrong(line) for line in lines.to_pylist())
    broken, _ = malform(lines, hashes, np.ones(400, bool))
    seen: dict[int, set[str]] = {}
    for line, code in zip(broken.to_pylist(), hashes.tolist(), strict=True):
        seen.setdefault(code % len(BREAKS), set()).add(what_is_wrong(line))
    assert seen.keys() == set(range(len(BREAKS)))
    assert all("" not in problems for problems in seen.values())
    assert {"not UTF-8"} in seen.values()
    assert {"time"} in seen.values()


@pytest.mark.parametrize("wire_format", FORMATS)
@given(is_broken=st.lists(st.booleans(), max_size=60), seed=st.integers(0, 2**32))
def test_exactly_the_chosen_lines_are_broken_and_every_line_stays_one_line(
    wire_format: str, is_broken: list[bool], seed: int
) -> None:
    lines, hashes = encoded(wire_format, len(is_broken), seed)
    before = hashes.copy()
    broken, new_hashes = malform(lines, hashes, np.array(is_broken, bool))
    assert broken.type == lines.type
    for old, new, chosen in zip(lines.to_pylist(), broken.to_pylist(), is_broken, strict=True):
        assert new.count(b"\n") == 1
        assert new.endswith(b"\n")
        assert (new != old) == chosen
    assert ((new_hashes != before) == np.array(is_broken, bool)).all()
    assert (hashes == before).all()


def test_the_hash_of_a_broken_line_is_that_of_its_bytes_without_the_newline() -> None:
    lines, hashes = encoded("full", 50)
    broken, new_hashes = malform(lines, hashes, np.ones(50, bool))
    expected = hash_strings(pa.array([line[:-1] for line in broken.to_pylist()], pa.binary()))
    assert new_hashes.tolist() == expected.tolist()


def test_the_same_event_is_broken_the_same_way_in_any_company() -> None:
    lines, hashes = encoded("activity", 200)
    together, _ = malform(lines, hashes, np.ones(200, bool))
    for at in range(0, 200, 17):
        alone, _ = malform(lines.slice(at, 1), hashes[at : at + 1], np.ones(1, bool))
        assert alone[0] == together[at]


def test_where_nothing_is_to_be_broken_nothing_is_copied() -> None:
    lines, hashes = encoded("listen", 10)
    same, same_hashes = malform(lines, hashes, np.zeros(10, bool))
    assert same is lines
    assert same_hashes is hashes
