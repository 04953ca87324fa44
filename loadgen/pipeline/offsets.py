"""How far a topic is stored: between there and its end is what a pipeline must not leave behind.

In: the store, how to reach the topic. Out: offsets by Kafka partition.
"""

import time
from collections.abc import Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from loadgen.consume.commits import CommitRecord, TopicIdentity
from loadgen.errors import NotThere
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config
from loadgen.store import Store

_CONFIG = {
    "group.id": "loadgen-pipeline-ends",  # never joined
    "enable.auto.commit": "false",
    "enable.partition.eof": "true",
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
}
LOOK_S = 5.0


def stored_of(store: Store, source: TopicIdentity, n_partitions: int) -> dict[int, int]:
    """One past the last offset of each partition that is stored; 0 where nothing is.

    Raises:
        StoreError: the store does not answer.
    """
    found = dict.fromkeys(range(n_partitions), 0)
    for number in found:
        records = [file.path for file in store.files(source.records(number)) if file.path.endswith(".json")]
        with suppress(NotThere):  # a record that was pruned meanwhile: there is a later one
            found[number] = CommitRecord.from_json(records[-1], store.read(records[-1])).next if records else 0
    return found


def missing(stored: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    """The offsets from which on something may not be stored, of the partitions where that is so."""
    return {number: stored[number] for number, end in ends.items() if stored[number] < end}


def has_messages(kafka: KafkaSettings, begins: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether there is a message in one of these ranges at all: the ends of transactions take offsets too.

    Returns:
        True also where that does not come out within a few seconds.
    """
    consumer = _consumer(kafka)
    try:
        consumer.assign([TopicPartition(kafka.topic, number, offset) for number, offset in begins.items()])
        unread, deadline_s = set(begins), time.monotonic() + LOOK_S
        while unread and time.monotonic() < deadline_s:
            for message in consumer.consume(100, 0.2):
                number, error = message.partition() or 0, message.error()
                if error is None and (message.offset() or 0) < ends[number]:
                    return True
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(number)
        return bool(unread)
    except KafkaException:
        return True
    finally:
        consumer.close()


def _consumer(kafka: KafkaSettings) -> Consumer:
    monitor = Monitor(kafka.options)
    return Consumer({**client_config(kafka), **_CONFIG, **monitor.callbacks()}, logger=monitor.logger)
