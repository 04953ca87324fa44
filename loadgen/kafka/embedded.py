"""librdkafka's in-process test broker: try loadgen, or test it, with no service running.

In: the names of topics and the number of brokers. Out: an address that this process and others on this machine can use,
while the object lives. It keeps the last 5 MiB of each partition and deletes older messages.
"""

from typing import Self

from confluent_kafka import KafkaException, Producer

from loadgen.errors import SinkError

START_S = 10.0
AT_ONCE = {"group.protocol": "consumer"}
"""Consumer options to read from the test broker at once: a classic group begins after three seconds."""
N_PARTITIONS = 4
"""The number of partitions that librdkafka's test broker gives every topic."""


class EmbeddedBroker:
    """A small Kafka cluster inside this process; `address`: "127.0.0.1:PORT,…", for --brokers."""

    def __init__(self, *topics: str, partitions: int = N_PARTITIONS, n_brokers: int = 1) -> None:
        """Start it, and make the topics.

        Args:
            partitions: the number wanted; librdkafka's test broker always makes N_PARTITIONS, see n_partitions.

        Raises:
            SinkError: it does not start.
        """
        self._cluster: Producer | None = Producer({"test.mock.num.brokers": n_brokers, "log_level": 0})
        try:
            for topic in reversed(topics):
                metadata = self._cluster.list_topics(topic, START_S)
        except KafkaException as error:
            raise SinkError(f"the embedded broker did not start: {error}; name a real one with --brokers") from error
        self.n_partitions = len(metadata.topics[topics[0]].partitions)
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it; what it held is gone. Closing twice is allowed."""
        self._cluster = None
