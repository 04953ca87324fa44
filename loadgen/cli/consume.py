"""`loadgen consume`: Kafka to a store."""

from loadgen.cli.command import Verb
from loadgen.config import ConsumeSettings


def _start(settings: ConsumeSettings) -> int:
    """Store the events of a Kafka topic by date, each exactly once, in a folder or on HDFS.

    Events that it reads again after a crash, a rebalance or an outage are not stored again. Consumers of the same
    --group share the partitions of the topic. A record that is no event goes to the folder _dead_letters of the store.
    """
    from loadgen.consume import main

    return main(settings)


verb = Verb(
    ConsumeSettings,
    _start,
    "loadgen consume --brokers localhost:9092",
    "loadgen consume --brokers localhost:9092 --store hdfs://localhost/music_events",
    "loadgen consume --brokers localhost:9092 --until-idle 10 -b 100k",
)
