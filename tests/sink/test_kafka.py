"""The Kafka sink with a scripted producer: whatever happens, every event has one outcome, and the order is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.errors import BrokerUnreachable, SinkError
from loadgen.event import UInt16s
from loadgen.kafka.options import KafkaSettings
from loadgen.ledger import Fingerprint
from loadgen.sink import EncodedBatch, kafka
from loadgen.sink.kafka import KafkaSink, SinkState
from loadgen.sink.message_columns import values_of
from loadgen.sink.readback import Doubt
from tests.sink.fake_producer import FakeProducer
from tests.sink.lines import N_PAGES, hash_of, make_lines

N_PARTITIONS = 3
LOG_UNREADABLE: dict[int, npt.NDArray[np.bool_]] = {}


def open_sink(producer: FakeProducer, **options: str) -> KafkaSink:
    named = {name.replace("_", "."): value for name, value in options.items()}
    chosen = KafkaSettings("fake:9092", "t", named)
    ends = dict.fromkeys(range(N_PARTITIONS), 0)
    return KafkaSink(chosen, n_partitions=N_PARTITIONS, topic_ends=ends, connect=producer.connect)


@contextmanager
def readable(producer: FakeProducer) -> Iterator[None]:
    """Reading the topic back reads the scripted producer's log."""

    def read_back(
        _settings: KafkaSettings, doubts: dict[int, Doubt], _timeout_s: float
    ) -> dict[int, npt.NDArray[np.bool_]]:
        return {partition: found_in(producer.log[partition], doubt) for partition, doubt in doubts.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "read_back", read_back)
        patch.setattr(kafka, "FULL_S", 0.001)
        yield


def found_in(log: list[tuple[bytes, bytes, int]], doubt: Doubt) -> npt.NDArray[np.bool_]:
    there = {(hash(value), ts_ms) for value, _, ts_ms in log[doubt.start_offset :]}
    pairs = zip(doubt.value_hash.tolist(), doubt.ts_ms.tolist(), strict=True)
    return np.array([pair in there for pair in pairs], np.bool_)


def partitions(sink: KafkaSink, lines: EncodedBatch) -> UInt16s:
    return sink.partitions(lines.key_hash, lines.page)


def fingerprint_of(log: list[list[tuple[bytes, bytes, int]]]) -> Fingerprint:
    events = [event for partition in log for event in partition]
    expected = Fingerprint()
    expected.add(
        np.array([int(key) % 256 for _, key, _ in events], np.uint16),
        np.array([hash_of(value) for value, _, _ in events], np.uint64),
    )
    return expected


def assert_ledger_is_log(sink: KafkaSink, producer: FakeProducer) -> None:
    expected, found = fingerprint_of(producer.log), sink.tally.fingerprint
    assert (found.count == expected.count).all()
    assert (found.total == expected.total).all()
    assert sink.tally.bytes_delivered == sum(len(value) for partition in producer.log for value, _, _ in partition)


step = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 60)),
    st.tuples(st.just("poll"), st.just(0)),
    st.tuples(st.just("forget"), st.integers(1, 9)),
    st.tuples(st.just("drop"), st.integers(0, 20)),
    st.tuples(st.just("strand"), st.just(0)),
    st.tuples(st.just("find brokers"), st.just(0)),
)


FORGETFUL: dict[str, Any] = {
    "capacity": 7,
    "too_large": 10**6,
    "limit": 10**5,
    "breaks_at": 6,
    "unreported": 0,
    "timeout_ms": "0",
}


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(step, min_size=6, max_size=16),
    deliver=st.lists(st.sampled_from([80, 20, 5, 1, 0]), min_size=1, max_size=6),
    capacity=st.sampled_from([10**6, 40, 7, 1]),
    too_large=st.sampled_from([10**6, 10**6, 60, 0]),
    limit=st.sampled_from([100_000, 25, 1]),
    breaks_at=st.integers(0, 40),
    unreported=st.integers(0, 30),
    timeout_ms=st.sampled_from(["0", "1000"]),
)
@example(steps=[("send", 1), ("send", 19), ("forget", 4), ("poll", 0), ("send", 3)], deliver=[80, 5], **FORGETFUL)
@example(steps=[("send", 18), ("forget", 4), ("poll", 0), ("poll", 0), ("send", 3)], deliver=[5], **FORGETFUL)
def test_every_event_has_one_outcome_and_the_delivered_are_those_in_the_log(
    steps: list[tuple[str, int]],
    deliver: list[int],
    capacity: int,
    too_large: int,
    limit: int,
    breaks_at: int,
    unreported: int,
    timeout_ms: str,
) -> None:
    producer = FakeProducer(N_PARTITIONS, deliver, capacity, too_large)
    producer.unreported = unreported
    with readable(producer):
        options = {"queue_buffering_max_messages": str(limit), "message_timeout_ms": timeout_ms}
        sink, n_offered = open_sink(producer, **options), 0
        for number, (what, n_events) in enumerate(steps):
            if number == breaks_at:
                producer.break_down()
            if what == "forget":
                has_watermarks = timeout_ms == "0" and too_large == 10**6  # nothing tells of it without them
                producer.forgotten += n_events if has_watermarks else 0
                continue
            if what in ("strand", "find brokers"):
                producer.strand() if what == "strand" else producer.figures("UP")
                continue
            n_offered += take_step(sink, what, n_events, n_offered)
            counts = sink.tally.counts()
            assert counts["planned"] == n_offered
            assert sink.completed.sum() <= n_offered - sink.tally.in_flight
            assert counts["delivered"] <= sum(map(len, producer.log))
        sink.close()
    assert sink.tally.in_flight == 0
    assert sink.completed.sum() == sink.tally.planned == n_offered
    assert_ledger_is_log(sink, producer)


def take_step(sink: KafkaSink, what: str, n_events: int, first: int) -> int:
    """Do one step; the number of events that it planned."""
    try:
        if what == "poll":
            sink.poll(0.0)
            return 0
        {"send": sink.send, "drop": sink.drop}[what](make_lines(n_events, first))
    except SinkError:
        return n_events if what != "poll" else 0
    return n_events


@pytest.mark.parametrize("timeout_ms", ["0", "1000"])
@pytest.mark.parametrize("n_unreported", [0, 1, 33, 100])
def test_what_a_stranded_producer_held_is_delivered_once_by_the_next_and_in_order(
    n_unreported: int, timeout_ms: str
) -> None:
    producer = FakeProducer(N_PARTITIONS, [50])
    producer.unreported = n_unreported
    sink = open_sink(producer, message_timeout_ms=timeout_ms)
    lines = make_lines(240)
    with readable(producer):
        for start in range(0, 160, 40):
            sink.send(lines[start : start + 40])
        sink.poll(0.0)
        producer.strand()
        sink.poll(0.0)
        producer.deliver(0)
        assert sink.room() == 0, "what it held comes first"
        producer.figures("DOWN")
        sink.poll(0.0)
        assert sink.room() == 0
        producer.figures("UP")
        sink.poll(0.0)
        assert sink.room() > 0
        sink.send(lines[160:])
        producer.deliver(1000)
        sink.flush(1.0)
        sink.close()
    assert sink.tally.counts() == {
        "planned": 240,
        "delivered": 240,
        "failed": 0,
        "dropped": 0,
        "unfinished": 0,
        "aborted": 0,
    }
    for partition in range(N_PARTITIONS):
        in_order = lines.take(np.flatnonzero(partitions(sink, lines) == partition)).lines.to_pylist()
        assert [value + b"\n" for value, _, _ in producer.log[partition]] == in_order
    assert_ledger_is_log(sink, producer)


def test_what_a_stranded_producer_held_is_unfinished_when_no_broker_comes_back() -> None:
    producer = FakeProducer(N_PARTITIONS, [0])
    sink = open_sink(producer)
    with readable(producer):
        sink.send(make_lines(90))
        producer.strand()
        sink.flush(0.05)
        sink.close()
    assert sink.tally.counts() == {
        "planned": 90,
        "delivered": 0,
        "failed": 0,
        "dropped": 0,
        "unfinished": 90,
        "aborted": 0,
    }


def test_a_stranded_producer_is_replaced_while_a_partition_cannot_be_read_but_nothing_is_sent_again() -> None:
    producer = FakeProducer(N_PARTITIONS, [0])
    sink = open_sink(producer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "read_back", lambda *_: LOG_UNREADABLE)
        sink.send(make_lines(90))
        producer.strand()
        sink.poll(0.0)
        producer.figures("UP")
        sink.poll(0.0)
        assert (sink.room(), len(producer), sink.tally.in_flight) == (0, 0, 90)
        sink.close()


@pytest.mark.parametrize("first_lost", [0, 1, 40, 59])
@pytest.mark.parametrize("n_more", [0, 30])
def test_events_that_a_broker_forgets_fail_though_it_took_those_behind_them(first_lost: int, n_more: int) -> None:
    producer = FakeProducer(1, [first_lost, 0])
    sink = KafkaSink(KafkaSettings("fake:9092", "t"), n_partitions=1, topic_ends={0: 0}, connect=producer.connect)
    with readable(producer):
        sink.send(make_lines(60))
        sink.poll(0.0)
        producer.forgotten = 7
        sink.send(make_lines(n_more, 60))
        for n_delivered in (5, 10, 100):
            producer.deliver(n_delivered)
            sink.poll(0.0)
        n_lost = min(7, 60 + n_more - first_lost)
        assert sink.tally.counts() == {
            "planned": 60 + n_more,
            "delivered": 60 + n_more - n_lost,
            "failed": n_lost,
            "dropped": 0,
            "unfinished": 0,
            "aborted": 0,
        }
        assert sink.completed.tolist() == [60 + n_more]
        producer.forgotten = 0
        sink.send(make_lines(10, 60 + n_more))
        sink.poll(0.0)
        sink.close()
    assert sink.tally.counts()["failed"] == n_lost
    assert_ledger_is_log(sink, producer)


def test_events_that_a_broker_forgets_fail_though_others_write_to_the_partition() -> None:
    producer = FakeProducer(1, [20])
    sink = KafkaSink(KafkaSettings("fake:9092", "t"), n_partitions=1, topic_ends={0: 0}, connect=producer.connect)
    with readable(producer):
        sink.send(make_lines(20))
        sink.poll(0.0)
        producer.forgotten = 20
        producer.log[0] += [(b"of another producer\n", b"7", 7)] * 50
        sink.send(make_lines(20, 20))
        sink.send(make_lines(20, 40))
        for _ in range(2):
            sink.poll(0.0)
        assert sink.tally.counts() == {
            "planned": 60,
            "delivered": 40,
            "failed": 20,
            "dropped": 0,
            "unfinished": 0,
            "aborted": 0,
        }


def test_what_a_broker_forgot_is_unfinished_where_the_topic_cannot_be_read() -> None:
    producer = FakeProducer(1, [20])
    sink = KafkaSink(KafkaSettings("fake:9092", "t"), n_partitions=1, topic_ends={0: 0}, connect=producer.connect)
    sink.send(make_lines(20))
    sink.poll(0.0)
    producer.forgotten = 1
    sink.send(make_lines(20, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "read_back", lambda *_: LOG_UNREADABLE)
        sink.poll(0.0)
    assert sink.tally.counts() == {
        "planned": 40,
        "delivered": 20,
        "failed": 0,
        "dropped": 0,
        "unfinished": 20,
        "aborted": 0,
    }


def test_the_state_tells_what_the_sink_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, while_reading = FakeProducer(1, [20]), []
    sink = KafkaSink(KafkaSettings("fake:9092", "t"), n_partitions=1, topic_ends={0: 0}, connect=producer.connect)

    def read_back(
        _settings: KafkaSettings, doubts: dict[int, Doubt], _timeout_s: float
    ) -> dict[int, npt.NDArray[np.bool_]]:
        while_reading.append(sink.state)
        return {partition: found_in(producer.log[partition], doubt) for partition, doubt in doubts.items()}

    def state() -> SinkState:
        return sink.state

    monkeypatch.setattr(kafka, "read_back", read_back)
    sink.send(make_lines(20))
    sink.poll(0.0)
    assert state() is SinkState.HEALTHY
    producer.forgotten = 5
    sink.send(make_lines(20, 20))
    sink.poll(0.0)
    assert (while_reading, sink.state) == ([SinkState.GAP], SinkState.HEALTHY)
    producer.too_large = 0
    producer.deliver(0)
    sink.send(make_lines(1, 40))
    sink.poll(0.0)
    assert state() is SinkState.HEALTHY, "an empty producer leaves nothing to wait for"
    producer.strand()
    sink.poll(0.0)
    assert state() is SinkState.RECONNECTING
    producer.break_down()
    with pytest.raises(SinkError):
        sink.poll(0.0)
    assert state() is SinkState.BROKEN
    sink.close()
    assert state() is SinkState.CLOSED


def test_settled_counts_only_what_ended_without_a_gap_before_it() -> None:
    producer = FakeProducer(N_PARTITIONS, [0, 0, 10**6])
    sink = open_sink(producer)
    sink.send(make_lines(100))
    sink.poll(0)
    sink.drop(make_lines(50, 100))
    assert sink.tally.counts()["dropped"] == 50
    assert sink.completed.sum() == 0, "dropped events overtook those in flight"
    sink.poll(0)
    sink.poll(0)
    assert sink.completed.tolist() == np.bincount(partitions(sink, make_lines(150)), minlength=3).tolist()


def test_a_successor_goes_on_from_what_its_predecessor_settled() -> None:
    completed = np.array([5, 0, 9])
    sink = KafkaSink(
        KafkaSettings("fake:9092", "t"), completed,
        n_partitions=N_PARTITIONS, connect=FakeProducer(N_PARTITIONS, [10**6]).connect,
    )  # fmt: skip
    sink.send(make_lines(30))
    sink.flush(1)
    assert sink.completed.sum() == 14 + 30
    assert completed.tolist() == [5, 0, 9]


def test_key_is_the_user_id_value_the_line_and_timestamp_the_events_own_time() -> None:
    producer = FakeProducer(N_PARTITIONS, [10**6])
    sink = open_sink(producer)
    lines = make_lines(200)
    sink.send(lines)
    sink.flush(1)
    sent = sorted((ts_ms, key, value) for partition in producer.log for value, key, ts_ms in partition)
    columns = zip(lines.ts_ms.tolist(), lines.user_id.tolist(), lines.lines.to_pylist(), strict=True)
    assert sent == [(ts_ms, b"%d" % user_id, line.rstrip(b"\n")) for ts_ms, user_id, line in columns]


def test_only_the_last_event_of_a_partition_asks_for_a_report() -> None:
    asked: list[bool] = []

    class Watched(FakeProducer):
        def produce(self, *message: Any) -> None:
            asked.append(message[4] is not None)
            super().produce(*message)

    sink = open_sink(Watched(N_PARTITIONS, [10**6]))
    sink.send(make_lines(500))
    assert (len(asked), sum(asked)) == (500, N_PARTITIONS)


@pytest.mark.parametrize(
    "options",
    [
        {"enable_idempotence": "false"},
        {"enable_gapless_guarantee": "false"},
        {"message_timeout_ms": "30000"},
        {"delivery_timeout_ms": "30000"},
        {"acks": "1"},
        {"request_required_acks": "0"},
    ],
)
def test_without_the_guarantees_every_event_asks_for_its_own_report(options: dict[str, str]) -> None:
    asked: list[bool] = []

    class Watched(FakeProducer):
        def produce(self, *message: Any) -> None:
            asked.append(message[4] is not None)
            super().produce(*message)

    sink = open_sink(Watched(N_PARTITIONS, [10**6]), **options)
    sink.send(make_lines(50))
    sink.flush(1)
    assert asked == [True] * 50
    assert sink.tally.counts()["delivered"] == 50


def test_room_is_what_the_queue_still_takes() -> None:
    sink = open_sink(FakeProducer(N_PARTITIONS, [0]), queue_buffering_max_messages="100")
    assert sink.room() == 100
    sink.send(make_lines(70))
    assert sink.room() == 30
    sink.send(make_lines(31, 70))
    assert sink.room() == 0
    assert sink.tally.counts()["dropped"] == 1


def test_room_counts_bytes_too() -> None:
    sink = open_sink(FakeProducer(N_PARTITIONS, [0]), queue_buffering_max_kbytes="10")
    lines = make_lines(40)
    sink.send(lines)
    n_bytes = sum(len(line) - 1 + 64 for line in lines.lines.to_pylist())
    assert 0 < sink.room() <= (10 * 1024 - n_bytes) / 100


def test_an_event_that_is_too_large_fails_and_the_others_arrive() -> None:
    producer = FakeProducer(N_PARTITIONS, [10**6], too_large=100)
    sink = open_sink(producer)
    lines = make_lines(300)
    n_too_large = sum(len(line) - 1 > 100 for line in lines.lines.to_pylist())
    sink.send(lines)
    sink.flush(1)
    assert 0 < n_too_large < 300
    assert sink.tally.counts() == {
        "planned": 300,
        "delivered": 300 - n_too_large,
        "failed": n_too_large,
        "dropped": 0,
        "unfinished": 0,
        "aborted": 0,
    }
    assert_ledger_is_log(sink, producer)


def test_after_a_fatal_error_send_poll_and_flush_end_at_once() -> None:
    producer = FakeProducer(N_PARTITIONS, [0])
    sink = open_sink(producer)
    sink.send(make_lines(90))
    producer.break_down()
    with pytest.raises(SinkError, match="takes no more events of topic 't'"):
        sink.poll(0)
    with pytest.raises(SinkError):
        sink.send(make_lines(10, 90))
    with pytest.raises(SinkError):
        sink.flush(1e6)
    with readable(producer):
        sink.close()
    assert sink.tally.counts() == {
        "planned": 100,
        "delivered": 0,
        "failed": 100,
        "dropped": 0,
        "unfinished": 0,
        "aborted": 0,
    }


def test_what_cannot_be_read_back_is_unfinished() -> None:
    producer = FakeProducer(N_PARTITIONS, [0])
    sink = open_sink(producer)
    sink.send(make_lines(90))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "read_back", lambda *_: LOG_UNREADABLE)
        sink.close()
    assert sink.tally.by_page[3, :N_PAGES].tolist() == [90 // N_PAGES] * N_PAGES


def test_without_a_broker_to_ask_for_partitions_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "METADATA_S", 0.2)
    with pytest.raises(BrokerUnreachable, match=r"no broker answered at 127\.0\.0\.1:1 .*Connection refused"):
        KafkaSink(KafkaSettings("127.0.0.1:1", "t"))


def test_reading_back_begins_behind_the_last_report_or_at_the_start_offsets() -> None:
    asked: dict[int, Doubt] = {}
    producer = FakeProducer(N_PARTITIONS, [1000, 0])
    sink = KafkaSink(
        KafkaSettings("fake:9092", "t"), np.arange(500), n_partitions=N_PARTITIONS,
        topic_ends={0: 0, 1: 80}, connect=producer.connect,
    )  # fmt: skip
    rows_of_0 = np.flatnonzero(partitions(sink, make_lines(300)) == 0)
    sink.send(make_lines(300).take(rows_of_0))
    sink.poll(0)
    sink.send(make_lines(300, 300))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "read_back", lambda _s, doubts, _t: asked.update(doubts) or {})
        sink.close()
    assert {partition: doubt.start_offset for partition, doubt in asked.items()} == {0: len(rows_of_0), 1: 80, 2: 0}
    assert sum(len(doubt.ts_ms) for doubt in asked.values()) == 300


def test_values_of_any_length_are_cut_out_of_their_lines() -> None:
    lines = pa.array([b"before\n", b"short\n", b"a value of twenty byte\n", b"\n", b"\n\n"], pa.binary())[1:]
    assert values_of(lines, np.array([1, 0, 3, 2])) == [b"a value of twenty byte", b"short", b"\n", b""]
    assert values_of(lines, np.array([1])) == [b"a value of twenty byte"]
