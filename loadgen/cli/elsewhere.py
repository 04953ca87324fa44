"""What other programs call a flag: Kafka's own tools, the Java client, kcat.

In: a flag that the verb does not have. Out: the flag that does the same here, or what to do instead.

Source: --help of kafka-console-producer, kafka-console-consumer, kafka-producer-perf-test, kafka-consumer-perf-test,
kafka-topics, kafka-consumer-groups, kafka-configs and kcat.
"""

from collections.abc import Sequence

from loadgen.config.kafka_properties import java_options, properties
from loadgen.config.settings import ALL

SAME = {
    "brokers": "bootstrap-server bootstrap-servers bootstrap.servers broker-list broker server servers kafka "
    "metadata.broker.list zookeeper b",
    "topic": "topics topic-name t",
    "events": "num-records num-messages max-messages messages records record-count num-events count n c",
    "rate": "throughput target-throughput messages-per-second records-per-second rps",
    "kafka-config": "producer.config consumer.config command-config command.config producer-config consumer-config "
    "config-file properties-file client-config admin.config F",
    "kafka-option": "producer-props producer-property producer-properties consumer-property consumer-props "
    "command-property property X",
    "group": "group-id group.id consumer-group G",
    "partitions": "num-partitions partition-count",
    "replication-factor": "replicas replication",
    "create-topic": "create",
    "until-idle": "timeout-ms idle-timeout timeout e",
    "workers": "threads num-threads num-fetch-threads",
    "warm-up": "warmup-records warmup num-warmup-records",
    "users": "listeners num-users",
    "folder": "dir directory output-dir",
    "output": "payload-file file o",
    "since": "from-time start-time",
    "until": "to-time end-time",
    "duration": "time run-time",
}
"""Our flag → what it is called elsewhere."""
INSTEAD = {
    "from-beginning": "a group without offsets begins with the oldest event; leave it out",
    "offset": "a group goes on where it ended; --kafka-option auto.offset.reset=latest begins a new one at the end",
    "record-size": "the size of an event follows from --format; leave it out",
    "message-size": "the size of an event follows from --format; leave it out",
    "print-metrics": "--metrics-port P serves the metrics; leave it out",
    "compression-codec": "write --kafka-option compression.type=NAME",
    "request-required-acks": "write --kafka-option acks=N",
    "sync": "write --kafka-option max.in.flight=1",
    "batch-size": "write --kafka-option batch.size=BYTES",
    "transaction-duration-ms": "loadgen does not use transactions; leave it out",
    "transactional-id": "loadgen does not use transactions; leave it out",
}
_OURS = {other: key for key, others in SAME.items() for other in others.split()}


def renamed(flag: str, known: Sequence[str]) -> str | None:
    """The line for a flag that the verb has under another name; None where it has none such."""
    ours = f"--{_OURS.get(flag.lstrip('-'), '')}"
    return f"here it is {ours}" if ours in known else None


def instead(flag: str, known: Sequence[str]) -> str | None:
    """What to do in place of another program's flag that the verb has nothing like; None where no program has it.

    Args:
        flag: as it was written, with the dashes.
        known: every flag of the verb.
    """
    word = flag.lstrip("-")
    if word in _OURS:
        verbs = [f"loadgen {kind.verb}" for kind in ALL if _OURS[word] in {one.key for one in kind.flags().values()}]
        return f"--{_OURS[word]} is meant, which belongs to {', '.join(verbs)}"
    if word in INSTEAD:
        return INSTEAD[word]
    if word in properties() and "--kafka-option" in known:
        return f"write --kafka-option {word}=VALUE"
    java = java_options().get(word)
    return f"as a --kafka-option of the Java client's: {java}" if java else None
