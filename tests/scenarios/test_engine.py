"""An engine keeps its listeners online, its lease, and its accounts; with the embedded broker."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from loadgen.event import SESSIONS_PER_LISTENER
from loadgen.kafka.embedded import AT_ONCE, EmbeddedBroker
from loadgen.ledger import Outcome
from loadgen.scenarios.engine import Engine, EngineShard
from loadgen.scenarios.lease_table import Lease, ended
from loadgen.simulate.dynamic_population import SESSIONS_PER_TOKEN
from tests.messages import value_of
from tests.scenarios.worlds import TOPIC, engine, turn_until
from tests.sink.topic import read_topic

pytestmark = pytest.mark.slow  # each test starts a broker and an engine


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(TOPIC) as embedded:
        yield embedded


def _end(machine: Engine) -> None:
    machine.stopping = True
    machine.run()


def _records(broker: EmbeddedBroker, n_events: int) -> list[dict[str, int]]:
    """So many records of the topic."""
    config = {"bootstrap.servers": broker.address, "group.id": "test", "auto.offset.reset": "earliest", **AT_ONCE}
    consumer = Consumer(config)
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(broker.n_partitions)])
    found: list[dict[str, int]] = []
    while len(found) < n_events:
        batch = consumer.consume(n_events, 5.0)
        assert batch, f"{len(found)} of {n_events} records"
        found += [orjson.loads(value_of(message)) for message in batch]
    consumer.close()
    return found


def test_every_event_of_listeners_who_come_and_go_is_delivered_and_its_sessions_are_whole(
    broker: EmbeddedBroker,
) -> None:
    machine = engine(broker.address, "--speed", "600", "--listeners", "600")
    machine.source.wanted = (100, 50, 80)
    turn_until(machine, lambda: machine.planned().sum() > 500)
    machine.source.wanted = (10, 0, 0)
    n_before = int(machine.planned().sum())
    turn_until(machine, lambda: machine.planned().sum() > n_before + 100)
    machine.source.wanted = (120, 50, 80)
    turn_until(machine, lambda: machine.planned().sum() > n_before + 1000)
    _end(machine)
    assert machine.latest is not None
    tally = machine.latest.tallies["kafka"]
    assert tally.count(Outcome.DELIVERED) == tally.planned == int(machine.planned().sum())
    items: dict[int, int] = {}
    for record in sorted(
        _records(broker, tally.planned), key=lambda record: (record["sessionId"], record["itemInSession"])
    ):
        assert record["itemInSession"] == items.get(record["sessionId"], 0) + 1
        items[record["sessionId"]] = record["itemInSession"]


def test_events_of_each_page_go_to_their_topic() -> None:
    with EmbeddedBroker("plays", "rest") as broker:
        machine = engine(broker.address, "--speed", "600", "--listeners", "600", "--topic-map", "NextSong=plays,*=rest")
        machine.source.wanted = (100, 50, 80)
        turn_until(machine, lambda: machine.planned().sum() > 500)
        _end(machine)
        found = {name: read_topic(broker.address, name) for name in ("plays", "rest")}
    assert sum(map(len, found.values())) == machine.planned().sum()
    pages = {name: {orjson.loads(value_of(message))["page"] for message in of} for name, of in found.items()}
    assert pages["plays"] == {"NextSong"}
    assert "Home" in pages["rest"]
    assert "NextSong" not in pages["rest"]


def test_nothing_is_sent_while_nobody_is_online(broker: EmbeddedBroker) -> None:
    machine = engine(broker.address, "--speed", "3600")
    for _ in range(50):
        machine.turn()
    _end(machine)
    assert machine.planned().sum() == 0


def test_nothing_is_sent_without_a_lease_and_no_more_than_it_allows(broker: EmbeddedBroker) -> None:
    lease = ended()
    machine = engine(broker.address, "--rate", "max", lease=lease)
    machine.source.wanted = (1000, 1000, 1000)
    for _ in range(20):
        machine.turn()
    assert machine.planned().sum() == 0
    lease.renew(Lease().until_ns, 12_345)
    turn_until(machine, lambda: machine.planned().sum() >= 12_345)
    for _ in range(20):
        machine.turn()
    assert machine.planned().sum() == 12_345
    _end(machine)


def test_an_engine_in_a_thread_of_its_own_stops_when_it_is_told_and_says_its_last_word(broker: EmbeddedBroker) -> None:
    machine = engine(broker.address, "--rate", "max")
    machine.source.wanted = (500, 500, 500)
    thread = threading.Thread(target=machine.run)
    thread.start()
    while machine.latest is None or machine.latest.tallies["kafka"].count(Outcome.DELIVERED) < 20_000:
        pass
    machine.stopping = True
    thread.join(20)
    assert machine.latest.done
    assert (machine.latest.error, machine.latest.active) == ("", 1500)
    assert machine.latest.tallies["kafka"].in_flight == 0


def _has_planned(machine: Engine, n_events: int) -> bool:
    return bool(machine.planned().sum() > n_events)


def test_two_engines_have_different_listeners_and_a_later_life_other_sessions(broker: EmbeddedBroker) -> None:
    parts = (EngineShard(0, 2), EngineShard(1, 2), EngineShard(0, 2, fencing_token=1))
    n_planned = 0
    for part in parts:
        machine = engine(broker.address, "--speed", "600", "--listeners", "600", part=part)
        machine.source.wanted = (50, 50, 50)
        turn_until(machine, partial(_has_planned, machine, 300))
        _end(machine)
        n_planned += int(machine.planned().sum())
    records = _records(broker, n_planned)
    users, sessions = (np.array([record[name] for record in records]) for name in ("userId", "sessionId"))
    is_later = sessions % SESSIONS_PER_LISTENER > SESSIONS_PER_TOKEN
    assert set((users[is_later] % 2).tolist()) == {0}
    assert set((users[~is_later] % 2).tolist()) == {0, 1}
    keys = [(record["sessionId"], record["itemInSession"]) for record in records]
    assert len(keys) == len(set(keys))


def test_what_is_later_than_the_user_allows_is_dropped_and_counted(broker: EmbeddedBroker) -> None:
    machine = engine(broker.address, "--speed", "100000", "--max-lag", "0.001")
    machine.source.wanted = (20_000, 20_000, 20_000)
    turn_until(machine, lambda: machine.planned().sum() > 30_000)
    assert machine.planned().sum() < 500_000, "what was made at once is far more than a batch"
    _end(machine)
    assert machine.latest is not None
    tally = machine.latest.tallies["kafka"]
    assert tally.count(Outcome.DROPPED) > 0
    assert tally.count(Outcome.DROPPED) + tally.count(Outcome.DELIVERED) == int(machine.planned().sum())


def test_an_engine_leaves_no_file_where_it_is_started(
    broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = engine(broker.address, "--speed", "600", "--listeners", "60")
    machine.source.wanted = (60, 0, 0)
    turn_until(machine, lambda: machine.planned().sum() > 50)
    _end(machine)
    assert list(tmp_path.iterdir()) == []
