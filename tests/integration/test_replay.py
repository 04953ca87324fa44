"""A topic, stored on HDFS, and replayed from there and from the topic into others: the same messages."""

from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Message

from tests.integration.local import Local
from tests.runner.program import TRACKS, do_here
from tests.runner.test_replay import read

N = 3000
PARTITIONS = 4
TOPIC = ("--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", "1")
QUIET = ("--metrics-port", "0", "--json")
RUN = (
    "--users",
    "500",
    "--workers",
    "1",
    "--tracks",
    TRACKS,
    "--timestamps",
    "wall",
    "--rate",
    "1k/s",
    "--header",
    "t={userId}",
)


def content(messages: list[Message], with_headers: bool) -> Counter[object]:
    return Counter(
        (one.partition(), one.key(), one.value(), one.timestamp()[1], str(one.headers()) if with_headers else "")
        for one in messages
    )


@pytest.mark.timeout(300)
def test_what_a_run_sent_is_replayed_from_the_topic_and_from_the_store(
    broker: Local, hdfs: Local, tmp_path: Path
) -> None:
    brokers, store = ("--brokers", broker.brokers), f"hdfs://127.0.0.1:{hdfs.hdfs_port}/replayed"
    code, _, shown = do_here(tmp_path, "run", *QUIET, *RUN, *brokers, *TOPIC, "--topic", "first", "--events", str(N))
    assert code == 0, shown
    code, _, shown = do_here(
        tmp_path, "consume", *QUIET, *brokers, "--topic", "first", "--store", store, "--until-idle", "3", "--group", "g"
    )
    assert code == 0, shown
    sent = read(broker.brokers, "first", N, PARTITIONS)
    for source, topic in ((f"kafka://{broker.brokers}/first", "second"), (store, "third")):
        where = (*brokers, *TOPIC, "--topic", topic)
        code, summary, shown = do_here(tmp_path, "replay", source, *QUIET, *where, "--speed", "2")
        assert summary.get("delivered") == N, shown
        assert summary["recording"]["late"] == summary["recording"]["broken"] == 0
        assert summary["elapsed_s"] > 1.2  # three seconds of events at twice the speed
        found = read(broker.brokers, topic, N, PARTITIONS)
        is_topic = source.startswith("kafka:")
        assert content(found, is_topic) == content(sent, is_topic)
