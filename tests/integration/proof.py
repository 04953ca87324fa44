"""Holds what a run says against what a real topic holds.

A real broker drops a batch whose sequence number it has seen, so nothing may be in the topic twice. Where a leader goes
away in mid-run that takes ONE_IN_FLIGHT.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from confluent_kafka import Message

from loadgen.fingerprint import run_key
from loadgen.kafka.partition import hash_of_ids, partitions_of
from loadgen.record import FingerprintRecord
from tests.messages import value_of
from tests.runner.program import adds_up
from tests.sink.topic import read_topic
from tests.verifier.recompute import fingerprint_of

PARTITIONS = 4
ONE_IN_FLIGHT = ("--kafka-option", "max.in.flight=1")
"""With more, a change of leaders lets librdkafka send events twice, once in a long while (its issue 4953)."""


def assert_delivered_once(folder: Path, summary: dict[str, Any], brokers: str, topic: str) -> list[Message]:
    """The ledger, the fingerprint, keys, partitions, times and order are those of the topic, and nothing is twice."""
    messages = read_topic(brokers, topic)
    values = [value_of(message) for message in messages]
    assert adds_up(summary)
    assert summary["failed"] == summary["dropped"] == summary["unfinished"] == 0
    assert summary["planned"] == summary["delivered"] == len(values), "events are lost or repeated"
    assert len(set(values)) == len(values), "an event is in the topic twice"
    assert summary["bytes"] == sum(map(len, values))
    manifest = json.loads((folder / summary["manifest"]).read_text())
    assert (
        manifest["sinks"]["kafka"]["fingerprint"]
        == FingerprintRecord.from_fingerprint(fingerprint_of(values, run_key(manifest["seed"]))).model_dump()
    )
    _assert_placed(messages)
    return messages


def assert_nothing_lost(summary: dict[str, Any], brokers: str, topic: str) -> None:
    """Each planned event is in the topic, and delivered by the ledger; some may be there twice."""
    values = [value_of(message) for message in read_topic(brokers, topic)]
    assert adds_up(summary)
    assert summary["planned"] == summary["delivered"] == len(set(values)), f"events are lost; {len(values)} in all"


def _assert_placed(messages: list[Message]) -> None:
    """Each message has its listener's key and partition, its event's time, and its place in the listener's order."""
    records = [orjson.loads(value_of(message)) for message in messages]
    partitions = partitions_of(hash_of_ids(np.array([record["userId"] for record in records])), PARTITIONS)
    last_ms: dict[int, int] = {}
    for message, record, partition in zip(messages, records, partitions, strict=True):
        assert message.key() == b"%d" % record["userId"]
        assert message.partition() == partition
        assert message.timestamp()[1] == record["ts"]
        assert last_ms.get(record["userId"], 0) < record["ts"], "a listener's events are out of order"
        last_ms[record["userId"]] = record["ts"]
