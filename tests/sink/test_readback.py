"""Reading back finds the events in doubt among everything else that the topic holds."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from confluent_kafka import Producer

from loadgen.kafka.options import KafkaSettings
from loadgen.sink.readback import Doubt, read_back
from tests.mock_cluster import MockCluster


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster(partitions=2) as mock:
        yield mock


def put(cluster: MockCluster, events: list[tuple[int, int, int]]) -> None:
    """Write (partition, number of the value, ts_ms)."""
    producer = Producer({"bootstrap.servers": cluster.address, "log_level": 0})
    for partition, number, ts_ms in events:
        producer.produce("t", b"%d" % number, b"k", partition, timestamp=ts_ms)
    assert producer.flush(10) == 0


def doubt(start_offset: int, events: list[tuple[int, int]]) -> Doubt:
    number, ts_ms = zip(*events, strict=True)
    return Doubt(start_offset, np.array([hash(b"%d" % one) for one in number]), np.array(ts_ms))


def test_events_are_found_among_those_of_other_workers(cluster: MockCluster) -> None:
    put(cluster, [(0, 1, 100), (0, 99, 100), (0, 2, 101), (0, 1, 999), (0, 98, 102), (1, 4, 100)])
    doubts = {0: doubt(0, [(1, 100), (2, 101), (3, 102), (1, 103)]), 1: doubt(0, [(5, 100), (4, 100)])}
    found = read_back(KafkaSettings(cluster.address, "t"), doubts, 5)
    assert {partition: some.tolist() for partition, some in found.items()} == {
        0: [True, True, False, False],
        1: [False, True],
    }


def test_what_is_before_the_start_is_not_counted(cluster: MockCluster) -> None:
    put(cluster, [(0, 1, 100), (0, 1, 200)])
    found = read_back(KafkaSettings(cluster.address, "t"), {0: doubt(1, [(1, 100), (1, 200)])}, 5)
    assert found[0].tolist() == [False, True]


def test_an_event_in_doubt_twice_is_found_as_often_as_it_is_there(cluster: MockCluster) -> None:
    put(cluster, [(0, 1, 100), (0, 1, 100)])
    found = read_back(KafkaSettings(cluster.address, "t"), {0: doubt(0, [(1, 100)] * 3)}, 5)
    assert found[0].tolist() == [True, True, False]


def test_an_empty_partition_holds_nothing(cluster: MockCluster) -> None:
    found = read_back(KafkaSettings(cluster.address, "t"), {1: doubt(0, [(1, 100)])}, 5)
    assert found[1].tolist() == [False]


def test_a_broker_that_does_not_answer_leaves_the_question_open(cluster: MockCluster) -> None:
    cluster.down()
    start_s = time.monotonic()
    assert read_back(KafkaSettings(cluster.address, "t"), {0: doubt(0, [(1, 100)])}, 0.5) == {}
    assert time.monotonic() - start_s < 3
