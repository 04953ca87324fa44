"""Locust on hosts of their own: network namespaces. A host is cut off, its shard is taken over, it comes back."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from loadgen.kafka.embedded import AT_ONCE, EmbeddedBroker
from tests.integration.conftest import do_without
from tests.integration.hosts import Hosts, can_have_hosts
from tests.integration.locusts import QUIET, TOPIC, Locusts, adds_up, n_in_topic
from tests.messages import value_of


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded


@pytest.fixture
def hosts(broker: EmbeddedBroker) -> Iterator[Hosts]:
    if not can_have_hosts():
        do_without("needs root and Linux's network namespaces (iproute2)")
    with Hosts(["m", "a", "b", "c"], int(broker.address.rpartition(":")[2])) as made:
        yield made


@pytest.fixture
def locusts(tmp_path: Path, hosts: Hosts) -> Iterator[Locusts]:
    found = Locusts(tmp_path, {name: hosts.on(name) for name in hosts.address})
    try:
        yield found
    finally:
        found.stop_all()


def _sessions_items(address: str, n_events: int) -> Counter[tuple[int, int]]:
    """How often each event of a session is in the topic."""
    config = {"bootstrap.servers": address, "group.id": "test", **AT_ONCE}
    consumer = Consumer(config)
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(4)])
    found: Counter[tuple[int, int]] = Counter()
    while found.total() < n_events:
        batch = consumer.consume(10_000, 5.0)
        assert batch, f"{found.total()} of {n_events} records"
        records = [orjson.loads(value_of(message)) for message in batch]
        found.update((record["sessionId"], record["itemInSession"]) for record in records)
    consumer.close()
    return found


def test_a_host_that_is_cut_off_stops_and_its_shard_goes_on_elsewhere_without_one_event_twice(
    locusts: Locusts, hosts: Hosts, broker: EmbeddedBroker
) -> None:
    bound = ("--master", "--expect-workers", "2", "--ledger", "ledger.json", "--brokers", broker.address)
    locusts.start("m", *QUIET, *bound, "-u", "400", "-r", "400", "-t", "32s", "--speed", "50")
    for name in "ab":
        locusts.start(name, "--worker", "--master-host", hosts.address["m"], *QUIET[1:])
    locusts.wait_for("m", "total users)")
    time.sleep(4)
    hosts.cut("a")
    locusts.start("c", "--worker", "--master-host", hosts.address["m"], *QUIET[1:])
    time.sleep(12)
    hosts.mend("a")
    locusts.end("m")
    ledger = locusts.ledger()
    assert all(adds_up(worker) for worker in ledger["workers"])
    assert sorted(worker["life"] for worker in ledger["workers"]) == [0, 0, 1]
    assert any("fell silent" in event["what"] for event in ledger["happened"])
    n_found = n_in_topic(broker.address)
    assert ledger["summary"]["delivered"] <= n_found <= ledger["summary"]["planned"] + ledger["possibly_more"]
    assert set(_sessions_items(broker.address, n_found).values()) == {1}
