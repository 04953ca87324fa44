"""Drawn values in lines, hashes and Arrow's columns are the same, and follow from the listener, session and item."""

import numpy as np
import orjson
import pytest

from loadgen.encode.arrow import ArrowEncoder
from loadgen.encode.lines import Encoder
from loadgen.encode.tracks import make_track_parts
from loadgen.event import EventBatch, Page
from loadgen.formats import BUILT_IN, Format, KnownFormats, format_of
from loadgen.verifier.canonical import hash_canonical
from loadgen.verifier.names import KnownNames
from loadgen.verifier.observed import Reader
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names
from tests.own_fields import ALL

LISTENERS = some_listeners(50, np.random.default_rng(1))
BATCH = some_events(4000, LISTENERS, np.random.default_rng(2))


def encoder_of(wire_format: Format) -> Encoder:
    parts = make_track_parts(TinyCatalog(), wire_format)
    return Encoder(wire_format, parts, LABELS, LISTENERS, user_names)


def columns_of(wire_format: Format, batch: EventBatch = BATCH) -> dict[str, list[object]]:
    """The columns of Arrow, by name."""
    encoder = ArrowEncoder(TinyCatalog(), LABELS, LISTENERS, user_names, wire_format)
    columns: dict[str, list[object]] = encoder.to_arrow(batch).to_pydict()
    return columns


@pytest.mark.parametrize("name", BUILT_IN)
def test_lines_are_what_orjson_gives_for_the_values_of_the_columns(name: str) -> None:
    base, wire_format = format_of(name), format_of(name, ALL)
    lines = encoder_of(wire_format).encode(BATCH)[0].to_pylist()
    plain = encoder_of(base).encode(BATCH)[0].to_pylist()
    columns = columns_of(wire_format)
    added = [field for field in wire_format.fields if field not in base.fields]
    assert [field.name for field in added] == sorted(field.name for field in ALL)
    for i, line in enumerate(lines):
        there = {field.name: columns[field.name][i] for field in added if field.is_on(BATCH.page[i])}
        assert None not in there.values()
        assert line == orjson.dumps(orjson.loads(plain[i]) | there) + b"\n"


@pytest.mark.parametrize("name", BUILT_IN)
def test_readers_find_the_same_hashes_whether_in_place_or_by_arrow(name: str) -> None:
    wire_format = format_of(name, ALL)
    lines, hashes = encoder_of(wire_format).encode(BATCH)
    data = b"".join(lines.to_pylist())
    known = KnownFormats((*BUILT_IN.values(), wire_format))
    found = hash_canonical(data, known=known)
    escaped = np.flatnonzero([b"\\" in line for line in lines.to_pylist()])
    assert found.others.tolist() == escaped.tolist()
    rows = np.setdiff1d(np.arange(len(hashes)), escaped)
    assert (found.hashed.hash()[rows] == hashes[rows]).all()
    reader = Reader(KnownNames(None), known=known)
    assert (reader.of_lines(data.replace(b'","', b'", "')).hash == hashes).all()


def test_a_value_belongs_to_its_event_its_session_or_its_listener() -> None:
    columns = columns_of(format_of("activity", ALL))
    for name, identity in (("plan", BATCH.user_id), ("app_version", BATCH.session_id)):
        values = np.array(columns[name])
        for one in np.unique(identity):
            assert len(set(values[identity == one])) == 1
    assert len(set(columns["drift"])) > 3800
    versions = list(zip(BATCH.user_id.tolist(), columns["app_version"], strict=True))
    assert len(set(versions)) > len(dict(versions))


def test_a_value_does_not_depend_on_the_batch() -> None:
    wire_format = format_of("activity", ALL)
    lines = encoder_of(wire_format).encode(BATCH)[0].to_pylist()
    rows = np.random.default_rng(3).permutation(len(BATCH))[:500]
    assert encoder_of(wire_format).encode(BATCH.take(rows))[0].to_pylist() == [lines[row] for row in rows]


def test_fields_with_the_same_values_are_drawn_independently_of_each_other() -> None:
    one, other = (type(ALL[0])(name, ALL[1].source) for name in ("one", "other"))
    columns = columns_of(format_of("activity", (one, other)))
    equal = np.mean(np.array(columns["one"]) == np.array(columns["other"]))
    n_sessions = len(np.unique(BATCH.session_id))
    assert abs(equal - 0.5) < 5 * 0.5 / np.sqrt(n_sessions / 2)


def test_a_field_is_only_on_its_pages() -> None:
    columns = columns_of(format_of("full", ALL))
    is_there = np.array([value is not None for value in columns["buffering_s"]])
    assert (is_there == (BATCH.page == Page.NEXT_SONG)).all()
