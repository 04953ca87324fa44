"""A successor sends what its predecessor's ledger has not completed: all of it, in order, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config import RunSettings
from loadgen.event import EventBatch, UInt32s
from loadgen.extensions import name_of
from loadgen.kafka.options import KafkaSettings
from loadgen.runner.messages import Checkpoint
from loadgen.runner.outputs import ResumeFilter, sink_names
from loadgen.sink import EncodedBatch
from loadgen.sink.simple import NullSink, SinkContext, StartableSink
from tests.runner.plans import plan_of

N_PARTITIONS = 4
PARTITION_OF_ROW = np.array([0, 1, 2, 3, 1, 1, 0], np.uint16)
rows = st.lists(st.integers(0, len(PARTITION_OF_ROW) - 1), max_size=80)


def lines_of(numbers: list[int], row: list[int]) -> EncodedBatch:
    """Events with these numbers (their times) of these listeners."""
    ts_ms, user_id = np.array(numbers, np.int64), np.array(row, np.int64)
    page, virtual_shard = np.zeros(len(row), np.uint8), np.zeros(len(row), np.uint16)
    texts = pa.array([b'{"ts":%d}\n' % number for number in numbers], pa.binary())
    return EncodedBatch(
        texts, user_id, ts_ms, page, virtual_shard, ts_ms.astype(np.uint64), ts_ms, user_id.astype(np.uint32)
    )


def batch_of(lines: EncodedBatch) -> EventBatch:
    zeros = np.zeros(len(lines), np.uint8)
    row = lines.user_id.astype(np.int32)
    return EventBatch(lines.ts_ms, row, lines.user_id, lines.user_id, row, zeros, zeros, row, zeros)


def no_keys(batch: EventBatch) -> UInt32s:
    """For a sink with one partition."""
    return np.zeros(len(batch), np.uint32)


def filter_of(left: list[int]) -> ResumeFilter:
    """Of a sink whose partitions are PARTITION_OF_ROW of what is in place of the key's hash, the listener."""
    return ResumeFilter(
        np.array(left, np.int64),
        lambda key_hash, page: PARTITION_OF_ROW[key_hash],
        lambda batch: batch.user_id.astype(np.uint32),
    )


@given(rows, st.data())
def test_what_is_left_of_any_sequence_is_exactly_the_rest_of_each_partition(
    row: list[int], data: st.DataObject
) -> None:
    partition = PARTITION_OF_ROW[row].tolist() if row else []
    completed = [
        data.draw(st.integers(0, partition.count(number)), label=f"completed of {number}")
        for number in range(N_PARTITIONS)
    ]
    expected = [at for at in range(len(row)) if partition[:at].count(partition[at]) >= completed[partition[at]]]
    replay = filter_of(completed)
    found: list[int] = []
    at = 0
    while at < len(row):
        batch_end = data.draw(st.integers(at + 1, len(row)), label="end of batch")
        whole = lines_of(list(range(at, batch_end)), row[at:batch_end])
        if replay.is_done(batch_of(whole)):
            replay.skip(batch_of(whole))
            at = batch_end
        while at < batch_end:
            stop = data.draw(st.integers(at + 1, batch_end), label="end of part")
            unsent = replay.unsent(lines_of(list(range(at, stop)), row[at:stop]))
            assert unsent.lines.to_pylist() == [b'{"ts":%d}\n' % number for number in unsent.ts_ms.tolist()]
            found += unsent.ts_ms.tolist()
            at = stop
    assert found == expected


def test_a_batch_is_done_only_when_each_of_its_partitions_is() -> None:
    replay = filter_of([1, 2, 0, 0])
    assert replay.is_done(batch_of(lines_of([0, 1, 2], [0, 1, 4])))
    assert not replay.is_done(batch_of(lines_of([0, 1, 2, 3], [0, 1, 4, 5])))
    assert not replay.is_done(batch_of(lines_of([0], [2])))
    assert replay.is_done(batch_of(lines_of([], [])))


def test_a_first_life_holds_nothing_back_and_a_second_one_leaves_the_legacy_untouched() -> None:
    checkpoint = Checkpoint(completed={"null": np.array([3])})
    sink = NullSink()
    sink.start(SinkContext("null", 7))
    assert not ResumeFilter.of(sink, Checkpoint(), no_keys).left.any()
    replay = ResumeFilter.of(sink, checkpoint, no_keys)
    unsent = replay.unsent(lines_of([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]))
    assert unsent.ts_ms.tolist() == [3, 4]
    assert checkpoint.completed["null"].tolist() == [3]


@pytest.mark.parametrize(
    ("settings", "has_kafka", "names"),
    [
        (RunSettings(), False, ["files"]),
        (RunSettings(output=Path("x.jsonl")), False, ["stream"]),
        (RunSettings(discard=True), False, ["null"]),
        (RunSettings(sink=("a.b:C?x=1", "own")), False, ["a.b:C", "own"]),
        (RunSettings(brokers="b:9092"), True, ["kafka"]),
        (RunSettings(brokers="b:9092", output=Path("x.jsonl"), folder=Path("y")), True, ["kafka", "stream", "files"]),
    ],
)
def test_each_output_that_is_asked_for_is_a_sink_and_kafka_is_the_headline(
    settings: RunSettings, has_kafka: bool, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kafka = KafkaSettings("b:9092", "t", {}) if has_kafka else None
    sinks: dict[str, StartableSink] = {name_of(sink): NullSink() for sink in settings.sink}
    plan = replace(plan_of(), settings=settings, kafka=kafka, stream=settings.output is not None, sinks=sinks)
    assert sink_names(plan) == names
