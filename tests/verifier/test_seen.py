"""What is read back has the hash that the encoder gave it, whatever the format, the mixture and the container."""

import json
import time

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.encode.lines import Encoder
from loadgen.encode.malform import malform
from loadgen.encode.tracks import make_track_parts
from loadgen.event import SESSIONS_PER_LISTENER, Int64s, UInt64s
from loadgen.fingerprint import hash_integers, hash_strings, mix, run_key
from loadgen.formats import FORMATS, format_of
from loadgen.store.table import table_of
from loadgen.verifier.columns import iso_ms
from loadgen.verifier.names import NO_LISTENER, KnownNames
from loadgen.verifier.observed import SHAPELESS, UNKNOWN, ObservedEvents, Reader
from loadgen.verifier.regenerator import _unmixed
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names

N_LISTENERS = 20


class FewNames:
    """mina.kim7 is listener 7, of those that there are."""

    def __init__(self, user_ids: Int64s) -> None:
        terms = hash_strings(user_names(user_ids)).tolist()
        self._of = dict(zip(terms, user_ids.tolist(), strict=True))

    def ids(self, terms: UInt64s) -> Int64s:
        return np.array([self._of.get(term, NO_LISTENER) for term in terms.tolist()], np.int64)

    def ids_of(self, names: pa.StringArray) -> Int64s:
        return self.ids(hash_strings(names))


def encoded(
    wire_format: str, n: int, seed: int, malform_prob: float = 0.0
) -> tuple[list[bytes], ObservedEvents, FewNames]:
    """Lines of n events without newlines, what reading them should give, and who is who."""
    rng = np.random.default_rng(seed)
    listeners = some_listeners(N_LISTENERS, rng)
    batch = some_events(n, listeners, rng)
    parts = make_track_parts(TinyCatalog(), format_of(wire_format))
    encoder = Encoder(format_of(wire_format), parts, LABELS, listeners, user_names)
    lines, hashes = malform(*encoder.encode(batch), rng.random(n) < malform_prob)
    major, minor = batch.session_id, batch.item.astype(np.int64)
    if wire_format == "listen":
        major, minor = batch.user_id * SESSIONS_PER_LISTENER, batch.ts_ms
    texts = [line[:-1] for line in lines.to_pylist()]
    return texts, ObservedEvents(hashes, hashes, batch.user_id, major, minor, batch.ts_ms), FewNames(listeners.user_id)


def assert_same(found: ObservedEvents, expected: ObservedEvents, name: str = "") -> None:
    for column in ObservedEvents.__slots__:
        assert getattr(found, column).tolist() == getattr(expected, column).tolist(), (name, column)


@pytest.mark.parametrize("wire_format", FORMATS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 60))
def test_parsing_what_was_encoded_gives_the_same_events(wire_format: str, seed: int, n: int) -> None:
    lines, expected, names = encoded(wire_format, n, seed)
    reader = Reader(names)
    assert_same(reader.of_lines(b"\n".join(lines) + b"\n"), expected, "lines")
    assert_same(reader.of_values(lines), expected, "values")
    assert_same(reader.of_table(table_of(lines)), expected, "table")
    spaced = [json.dumps(orjson.loads(line)).encode() for line in lines]
    assert_same(reader.of_lines(b"\n".join(spaced) + b"\n"), expected, "written anew")
    broken = reader.of_lines(b"\n".join([*lines, b"no record"]) + b"\n")
    broken.hash, broken.key = broken.hash[:-1], broken.key[:-1]
    assert (broken.hash == expected.hash).all()


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_formats_may_be_mixed_in_any_order(seed: int, data: st.DataObject) -> None:
    parts = {wire_format: encoded(wire_format, 10, seed) for wire_format in FORMATS}
    order = data.draw(st.permutations([(wire_format, at) for wire_format in FORMATS for at in range(10)]))
    lines = [parts[wire_format][0][at] for wire_format, at in order]
    hashes = [int(parts[wire_format][1].hash[at]) for wire_format, at in order]
    reader = Reader(parts["listen"][2])
    assert reader.of_lines(b"\n".join(lines) + b"\n").hash.tolist() == hashes
    assert reader.of_table(table_of(lines)).hash.tolist() == hashes


@pytest.mark.parametrize("wire_format", FORMATS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_malformed_lines_count_by_their_bytes_and_still_tell_whose_they_are(wire_format: str, seed: int) -> None:
    lines, expected, names = encoded(wire_format, 40, seed, malform_prob=0.5)
    for found in (Reader(names).of_lines(b"\n".join(lines) + b"\n"), Reader(names).of_values(lines)):
        assert found.hash.tolist() == expected.hash.tolist()
        assert found.user_id.tolist() == expected.user_id.tolist()


@pytest.mark.parametrize("wire_format", FORMATS)
def test_without_its_time_an_event_has_the_same_key_at_any_time(wire_format: str) -> None:
    lines, expected, names = encoded(wire_format, 200, 3)
    found = Reader(names, timeless=True).of_lines(b"\n".join(lines) + b"\n")
    assert found.hash.tolist() == expected.hash.tolist()
    field = "timestamp" if wire_format == "listen" else "ts"
    written = [orjson.loads(line)[field] for line in lines]
    if wire_format == "listen":
        written = [time[:-6] for time in written]
    times = np.array(written, "datetime64[ms]").astype(np.int64)
    keys = mix(_unmixed(expected.hash) - hash_integers(field, times))
    assert found.key.tolist() == keys.tolist()
    assert Reader(names, timeless=True).of_values([b"no record"]).key.tolist() == [SHAPELESS]


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_unmixing_is_the_inverse_of_mixing(values: list[int]) -> None:
    words = np.array(values, np.uint64)
    assert (_unmixed(mix(words)) == words).all()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_and_count_by_their_bytes_unless_they_are_a_record(value: bytes) -> None:
    found = Reader(KnownNames(None)).of_values([value, b'{"ts":1}'])
    assert len(found) == 2
    if not value.lstrip().startswith(b"{"):
        assert found.hash[0] == hash_strings(pa.array([value], pa.binary()))[0]


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
NAMES = st.sampled_from(
    ["ts", "userId", "sessionId", "itemInSession", "length", "song", "timestamp", "user", "genre", "x"]
)


@given(st.lists(st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2)), min_size=1, max_size=4))
def test_arbitrary_records_are_read_in_any_company_alike(records: list[dict[str, object]]) -> None:
    lines = [json.dumps(record, ensure_ascii=False).encode(errors="surrogatepass") for record in records]
    reader = Reader(KnownNames(None))
    together = reader.of_values(lines)
    alone = [reader.of_values([line]) for line in lines]
    assert together.hash.tolist() == [int(one.hash[0]) for one in alone]


@pytest.mark.parametrize(
    "line",
    [
        b'{"ts":1}{"ts":2}',
        b'{"ts":1,"ts":2}',
        b'{"ts":18446744073709551615}',
        b'{"ts":1.0}',
        b'{"ts":true}',
        b'{"length":NaN}',
        b'{"song":"\xff"}',
        b'{"song":"\\ud800"}',
        b'{"song":5}',
        b'{"timestamp":"2026-01-05 00:00:00.000000+00:00"}',
        b'{"timestamp":"2026-02-30T00:00:00.000000+00:00"}',
        b'{"timestamp":"2026-01-05T00:00:00.000001+00:00"}',
        b'{"timestamp":"2026-01-05T24:00:00.000000+00:00"}',
        b'{"timestamp":"2026-01-05T00:60:00.000000+00:00"}',
        b'{"timestamp":"2026-01-05T00:00:00.000000+01:00"}',
        b'{"song":"a","unknown":1}',
        b"[]",
        b"7",
        b"",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_almost_a_record_counts_by_its_bytes(line: bytes) -> None:
    reader, record = Reader(KnownNames(None)), b'{"ts":5,"userId":7,"sessionId":7000001,"itemInSession":3}'
    if line != b'{"ts":1,"ts":2}':  # JSON leaves open what that means; it is read as its last value, like a record
        assert reader.of_values([line]).hash[0] == hash_strings(pa.array([line], pa.binary()))[0]
    found = reader.of_lines(line + b"\n" + record + b"\n")
    assert found.hash.tolist() == [int(reader.of_values([one]).hash[0]) for one in (line, record)]
    assert (found.user_id[1], found.major[1], found.minor[1]) == (7, 7_000_001, 3)


def test_a_line_of_ten_megabytes_is_read_in_no_time() -> None:
    long = b'{"ts":5,"userId":7,"song":"' + b"x" * 10_000_000 + b'"}'
    reader = Reader(KnownNames(None))
    began_s = time.process_time()
    found = reader.of_lines(b"\n".join([long, long[:-1], b'{"userId":8}', long]) + b"\n")
    assert time.process_time() - began_s < 5.0
    assert found.user_id.tolist() == [7, 7, 8, 7]
    assert found.hash[0] == found.hash[3] != found.hash[1]


def test_a_kafka_key_tells_whose_a_malformed_value_is() -> None:
    keys = [b"41", None, b"no number", b"9" * 30]
    found = Reader(KnownNames(None)).of_values([b"x"] * 4, keys.__getitem__)
    assert found.user_id.tolist() == [41, NO_LISTENER, NO_LISTENER, NO_LISTENER]
    assert found.major.tolist() == [UNKNOWN] * 4


@given(st.lists(st.datetimes().map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))))
def test_times_are_read_to_the_millisecond(moments: list[object]) -> None:
    texts = [f"{moment.isoformat(timespec='microseconds')}+00:00" for moment in moments]  # type: ignore[attr-defined]
    later = [
        (text, ms)
        for text, ms in zip(texts, np.array(moments, "datetime64[ms]").astype(np.int64).tolist(), strict=True)
        if ms >= 0
    ]
    times, is_good = iso_ms(pa.array([text for text, _ in later], pa.string()))
    assert is_good.all()
    assert times.tolist() == [ms for _, ms in later]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_a_record_with_a_key_twice_is_no_record_though_readers_take_the_last(wire_format: str) -> None:
    lines, expected, names = encoded(wire_format, 3, 11)
    twice = [
        line.replace(b"{", b'{"user":"EVIL","song":"x","user":"EVIL",', 1)
        if wire_format != "activity"
        else line.replace(b"{", b'{"page":"EVIL","userId":666,', 1)
        for line in lines
    ]
    escaped = [line.replace(b"{", b'{"us\\u0065rId":1,"user\\u0049d":2,', 1) for line in lines]
    for changed in (twice, escaped, [line.replace(b"{", b"{ ", 1) for line in twice]):
        for found in (Reader(names).of_values(changed), Reader(names).of_lines(b"\n".join(changed) + b"\n")):
            assert not set(found.hash.tolist()) & set(expected.hash.tolist())
            assert found.hash.tolist() == [int(hash_strings(pa.array([line], pa.binary()))[0]) for line in changed]


def test_a_text_that_looks_like_a_key_is_no_key() -> None:
    line = orjson.dumps({"ts": 1, "userId": 2, "song": 'He said "ts": 5, "ts": 6'})
    found = Reader(KnownNames(None)).of_values([line])
    assert (found.user_id.tolist(), found.time_ms.tolist()) == ([2], [1])
    assert found.hash[0] != hash_strings(pa.array([line], pa.binary()))[0]


@pytest.mark.parametrize("wire_format", FORMATS)
def test_hashes_have_the_key_of_their_run(wire_format: str) -> None:
    lines, expected, names = encoded(wire_format, 50, 4)
    data = b"\n".join(lines) + b"\n"
    spaced = b"\n".join(json.dumps(orjson.loads(line)).encode() for line in lines) + b"\n"
    one, other = (Reader(names, key=run_key(seed)) for seed in (1, 2))
    assert not set(one.of_lines(data).hash.tolist()) & {*other.of_lines(data).hash.tolist(), *expected.hash.tolist()}
    for found in (one.of_lines(spaced), one.of_table(table_of(lines))):
        assert found.hash.tolist() == one.of_lines(data).hash.tolist()
