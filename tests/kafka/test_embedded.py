"""The embedded broker works with no service running, also for other processes."""

import subprocess
import sys

import pytest
from confluent_kafka import KafkaException, Producer

from loadgen.kafka.check import check_topic
from loadgen.kafka.embedded import N_PARTITIONS, EmbeddedBroker
from loadgen.kafka.options import KafkaSettings
from loadgen.sink.kafka import KafkaSink
from tests.sink.lines import make_lines
from tests.sink.topic import assert_ledger_equals_topic, read_topic


def test_events_go_through_the_embedded_broker() -> None:
    with EmbeddedBroker("t") as broker:
        assert check_topic(KafkaSettings(broker.address, "t")) == broker.n_partitions == N_PARTITIONS
        sink = KafkaSink(KafkaSettings(broker.address, "t"))
        sink.send(make_lines(3000))
        sink.flush(10)
        assert sink.tally.counts()["delivered"] == 3000
        assert_ledger_equals_topic(sink, read_topic(broker.address))
        sink.close()


def test_another_process_reaches_the_embedded_broker() -> None:
    program = (
        "import sys; from confluent_kafka.admin import AdminClient as A;"
        "print(sorted(A({'bootstrap.servers': sys.argv[1]}).list_topics(timeout=10).topics))"
    )
    with EmbeddedBroker("over-there") as broker:
        command = [sys.executable, "-c", program, broker.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.stdout == "['over-there']\n"


def test_a_cluster_of_several_brokers_has_as_many_addresses() -> None:
    with EmbeddedBroker("t", n_brokers=3) as broker:
        assert len(set(broker.address.split(","))) == 3


def test_once_closed_nobody_answers() -> None:
    with EmbeddedBroker("t") as broker:
        address = broker.address
    broker.close()
    client = Producer({"bootstrap.servers": address, "log_level": 0})
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.5)
