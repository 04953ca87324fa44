"""Where a topic ends, as of now.

In: how to reach it. Out: offsets by partition.
"""

from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from loadgen.errors import BrokerUnreachable
from loadgen.kafka.errors import METADATA_S, unreachable
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config


def ends_of(kafka: KafkaSettings, n_partitions: int) -> dict[int, int]:
    """One past the last offset of each partition that is committed.

    Raises:
        BrokerUnreachable: nobody answers.
    """
    monitor = Monitor(kafka.options)
    config: dict[str, Any] = {**client_config(kafka), **monitor.callbacks()}
    admin = AdminClient(config, logger=monitor.logger)
    latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = admin.list_offsets(
        {TopicPartition(kafka.topic, number): latest for number in range(n_partitions)},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=METADATA_S,
    )
    try:
        return {partition.partition: future.result().offset for partition, future in asked.items()}
    except KafkaException as error:
        raise unreachable(kafka, METADATA_S, error.args[0].str()) from error


def ends_if_known(kafka: KafkaSettings, n_partitions: int) -> dict[int, int] | None:
    """The same; None where they are not told."""
    try:
        return ends_of(kafka, n_partitions)
    except BrokerUnreachable:
        return None
