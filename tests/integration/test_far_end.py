"""A run watches what an application of Kafka Streams gives out: what it loses and repeats, and how long it takes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.local import Local
from tests.integration.streams import copying
from tests.runner.program import do_here, start

CLOSE = 0.02
SMALL = ("--users", "2000", "--workers", "2")
WARM = ("--rate", "500/s", "--duration", "4s", "--seed", "7", "--wait-caught-up", "1m")
"""Java compiles meanwhile."""


def make_topics(broker: Local, *names: str) -> None:
    """Of four partitions each."""
    admin = AdminClient({"bootstrap.servers": broker.brokers})
    made = admin.create_topics([NewTopic(name, num_partitions=4, replication_factor=1) for name in names])
    assert [one.result(20) for one in made.values()] == [None] * len(names)


@contextmanager
def listener(broker: Local, topic: str) -> Iterator[list[tuple[float, bytes]]]:
    """An oracle: wall-clock time and value of each committed message of a topic, read by another consumer."""
    found: list[tuple[float, bytes]] = []
    over, is_ready = threading.Event(), threading.Event()
    options = {"group.id": "oracle", "isolation.level": "read_committed", "auto.offset.reset": "latest"}
    consumer = Consumer({"bootstrap.servers": broker.brokers, **options})
    consumer.subscribe([topic], on_assign=lambda *_: is_ready.set())

    def listen() -> None:
        while not over.is_set():
            messages = consumer.consume(1, 0.1)
            messages += consumer.consume(5000, 0.0) if messages else []
            now_s = time.time()
            found.extend((now_s, message.value() or b"") for message in messages if message.error() is None)
        consumer.close()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        assert is_ready.wait(30.0)
        time.sleep(1.0)
        yield found
    finally:
        over.set()
        thread.join()


def test_percentiles_are_those_that_another_reader_finds(broker: Local, tmp_path: Path) -> None:
    make_topics(broker, "heard", "told")
    where = ("--brokers", broker.brokers, "--topic", "heard", "--watch-topic", "told")
    with copying(tmp_path, broker.brokers, "telling", "heard", "told", most_per_s=2000):
        _, summary, shown = start(tmp_path, *SMALL, *where, *WARM).end(120)
        assert summary["far_end"]["lost"] == 0, shown
        with listener(broker, "told") as found:
            flags = ("--rate", "2200/s", "--duration", "10s", "--timestamps", "wall", "--wait-caught-up", "1m")
            kept = ("--threshold", "lost == 0; repeated == 0", "--threshold", "p99(end_to_end) < 100ms over 2s")
            code, summary, shown = start(tmp_path, *SMALL, *where, *flags, *kept).end(120)
            time.sleep(1.0)
    assert code == 1, shown
    assert [one["passed"] for one in summary["thresholds"]] == [True, True, False], shown
    assert (summary["far_end"]["seen"], summary["far_end"]["late"]) == (22_000, 0)
    assert summary["far_end"]["unrecognised"] == 0
    latencies_ms = [1000 * at_s - json.loads(value)["ts"] for at_s, value in found]
    assert len(latencies_ms) == 22_000
    for name, share in (("p50", 50), ("p90", 90), ("p99", 99)):
        expected_ms = float(np.percentile(latencies_ms, share))
        assert summary["end_to_end_ms"][name] == pytest.approx(expected_ms, rel=CLOSE, abs=20), name


def test_one_event_in_a_thousand_that_is_lost_and_each_that_is_repeated_is_counted(
    broker: Local, tmp_path: Path
) -> None:
    make_topics(broker, "given", "thinned", "taken", "doubled")
    for source, target, every in (("given", "thinned", 1000), ("taken", "doubled", -1000)):
        where = ("--brokers", broker.brokers, "--topic", source, "--watch-topic", target)
        with copying(tmp_path, broker.brokers, f"to-{target}", source, target, wrong_every=every):
            flags = ("--rate", "4k/s", "--duration", "5s", "--wait-caught-up", "15s")
            _, summary, shown = start(tmp_path, *SMALL, *where, *flags).end(120)
        n_wrong = sum((end - start_) // 1000 for start_, end in spans(broker, source))
        assert summary["delivered"] == 20_000, shown
        assert n_wrong >= 16
        lost, repeated = (n_wrong, 0) if every > 0 else (0, n_wrong)
        assert summary["far_end"] | {"reader_busy": 0, "late": 0} == {
            "topic": target, "seen": 20_000 - lost, "lost": lost, "repeated": repeated, "late": 0, "unrecognised": 0,
            "reader_busy": 0, "error": None,
        }  # fmt: skip
        for how, altered in ("--through", None), ("--repartitioned", 0):
            there = ("--brokers", broker.brokers, "--topic", target, how, "--json")
            code, found, said = do_here(tmp_path, "verify", summary["manifest"], *there)
            assert code == 1, said
            assert found, said
            assert (found["lost"], found["repeated"], found["altered"]) == (lost, repeated, altered), said


def spans(broker: Local, topic: str) -> list[tuple[int, int]]:
    """The offsets of each partition, from the first to behind the last."""
    consumer = Consumer({"bootstrap.servers": broker.brokers, "group.id": "spans"})
    found = [consumer.get_watermark_offsets(TopicPartition(topic, number), 10.0) for number in range(4)]
    consumer.close()
    return found


def test_a_topic_that_is_missing_is_said_before_the_first_event(broker: Local, tmp_path: Path) -> None:
    make_topics(broker, "lonely")
    where = ("--brokers", broker.brokers, "--topic", "lonely", "--watch-topic", "nowhere")
    code, _, shown = start(tmp_path, *SMALL, *where, "--duration", "2s").end(60)
    assert code == 1
    assert "nowhere" in shown
    assert spans(broker, "lonely") == [(0, 0)] * 4
