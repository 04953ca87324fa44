"""`loadgen doctor` against real Kafka and HDFS: what works, what does not, and that nothing is left behind."""

import signal
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from confluent_kafka.admin import AdminClient

from loadgen.doctor.checks import folders_of
from tests.doctor.program import end, left_in, start, visited
from tests.integration.local import Local
from tests.integration.test_kafka_access import client_properties, password
from tests.integration.test_store import url
from tests.ports import free_port
from tests.runner.program import wait_until

TOPIC = "doctor-looked-at"


def port() -> tuple[str, str]:
    """A flag for a free one."""
    return ("--port", str(free_port()))


def traces(broker: Local) -> list[str]:
    """Topics and groups of the doctor."""
    admin = AdminClient({"bootstrap.servers": broker.brokers})
    groups = admin.list_consumer_groups(request_timeout=10).result().valid
    names = [*admin.list_topics(timeout=10).topics, *(group.group_id for group in groups)]
    return [name for name in names if name.startswith("loadgen-doctor-")]


def make_topic(folder: Path, broker: Local) -> None:
    """The topic to look at."""
    from tests.runner.program import start as run

    made = ("--create-topic", "--partitions", "3", "--replication-factor", "1", "--events", "10", "--rate", "max")
    code, _, shown = run(folder, "--brokers", broker.brokers, "--topic", TOPIC, *made).end()
    assert code == 0, shown


def test_where_all_is_well_all_is_ticked_off_and_nothing_is_left(
    tmp_path_factory: pytest.TempPathFactory, broker: Local, hdfs: Local, registry: Local
) -> None:
    folder = tmp_path_factory.mktemp("d")  # runs make sockets in its folder of temporary files, so its path is short
    make_topic(folder, broker)
    before, store = left_in(folder), url(hdfs, "/doctor/well")
    flags = ("--brokers", broker.brokers, "--topic", TOPIC, "--store", store, *port())
    code, found, said = visited(folder, *flags, "--schema-registry", registry.registry_url)
    assert code == 0, said
    assert set(found.values()) == {"ok"}
    assert "✓ Kafka: 1 broker at " in said
    assert f"✓ topic {TOPIC}: 3 partitions, 1 copy of each, kept 7 days" in said
    assert f"✓ schema registry {registry.registry_url}: " in said
    assert "✓ avro, protobuf, jsonschema: sent with keys and headers, read back, decoded" in said
    with urlopen(f"{registry.registry_url}/subjects?deleted=true", timeout=10) as answer:
        assert b"loadgen-doctor" not in answer.read()
    assert "✓ clock: " in said
    assert left_in(folder) == before
    wait_until(lambda: traces(broker) == [])
    assert not folders_of(url(hdfs, "/x")).is_there("/doctor"), "it was not there before"


def test_a_missing_topic_is_named_with_what_makes_it(tmp_path: Path, broker: Local) -> None:
    code, found, said = visited(tmp_path, "--brokers", broker.brokers, "--topic", "nowhere", *port())
    assert (code, found["kafka"], found["topic"], found["through"]) == (1, "ok", "failed", "ok"), said
    assert "kafka-topics.sh --create --topic nowhere" in said
    wait_until(lambda: traces(broker) == [])


def test_a_dead_name_node_is_said_and_soon(tmp_path: Path, broker: Local, hdfs: Local) -> None:
    make_topic(tmp_path, broker)
    hdfs.signal("namenode", signal.SIGKILL)
    began_s = time.monotonic()
    flags = ("--brokers", broker.brokers, "--topic", TOPIC, "--store", url(hdfs, "/doctor/dead"), *port())
    code, found, said = visited(tmp_path, *flags)
    assert time.monotonic() - began_s < 60
    assert (code, found["topic"], found["store"], found["through"]) == (1, "ok", "failed", "not tried"), said
    assert "✗ store: " in said
    assert traces(broker) == []


def test_a_wrong_password_is_refused_and_not_shown(tmp_path: Path, broker: Local) -> None:
    kept = [line for line in client_properties(broker).read_text().splitlines() if not line.startswith("sasl.password")]
    mine = tmp_path / "client.properties"
    mine.write_text("\n".join([*kept, "sasl.password=wrong-one"]) + "\n")
    secure = f"127.0.0.1:{broker.kafka_port + 200}"
    code, found, said = visited(tmp_path, "--brokers", secure, "--kafka-config", str(mine), *port())
    assert (code, found["kafka"]) == (1, "failed"), said
    assert "refused access (SASL)" in said
    assert "wrong-one" not in said


def test_the_right_password_goes_all_the_way_and_is_not_shown(tmp_path: Path, broker: Local) -> None:
    make_topic(tmp_path, broker)
    secure = f"127.0.0.1:{broker.kafka_port + 200}"
    flags = ("--brokers", secure, "--topic", TOPIC, "--kafka-config", str(client_properties(broker)), *port())
    code, found, said = visited(tmp_path, *flags)
    assert (code, found["through"]) == (0, "ok"), said
    assert password(broker) not in said


def test_stopped_in_the_middle_it_takes_back_what_it_has_made(tmp_path: Path, broker: Local) -> None:
    make_topic(tmp_path, broker)
    process = start(tmp_path, "--brokers", broker.brokers, "--topic", TOPIC, *port())
    wait_until(lambda: traces(broker) != [] or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    code, _, said = end(process)
    assert code == 130, said
    wait_until(lambda: traces(broker) == [])
