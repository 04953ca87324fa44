"""The arithmetic of large loads, and what it takes for granted, held against simulated listeners."""

import numpy as np
import pytest

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.kafka.partition import hash_of_ids, partitions_of
from loadgen.scenarios.planning import CapacityPlan, Costs, Machine, plan, table
from loadgen.simulate.shard import Shard
from tests.simulate.world import CATALOG, settings

LOADS = [1e6, 1e7, 1e8]
USERS = 100_000


@pytest.mark.parametrize("load", LOADS)
def test_nothing_is_used_more_than_it_may_be(load: float) -> None:
    found, costs, machine = plan(load), Costs(), Machine()
    stored = load * costs.value_bytes / costs.compression
    assert load * costs.produce_s <= found.producers * machine.producing
    assert load * costs.consume_s <= found.consumers * machine.consuming
    assert 3 * load * costs.broker_s <= found.brokers * machine.cores * machine.brokering
    assert 3 * stored <= found.brokers * machine.wired * min(machine.network_bytes_per_s, machine.disk_bytes_per_s)
    assert load <= found.partitions * machine.partition_per_s


@pytest.mark.parametrize("load", LOADS)
def test_every_consumer_and_every_broker_has_as_many_partitions_as_the_others(load: float) -> None:
    found = plan(load)
    assert found.partitions % found.brokers == 0
    assert found.partitions >= found.consumers
    assert found.brokers >= 3


def test_ten_times_the_load_takes_ten_times_the_machines() -> None:
    small, large = plan(1e7), plan(1e8)
    for name in ("producers", "consumers", "brokers", "partitions"):
        assert getattr(large, name) == pytest.approx(10 * getattr(small, name), rel=0.2)


def test_the_table_has_a_row_for_each_load() -> None:
    rows = list(table(LOADS))
    assert len(rows) == 2 + len(LOADS)
    assert {row.count("|") for row in rows} == {9}


@pytest.fixture(scope="module")
def events() -> "np.ndarray":
    """Who caused the events of ten minutes: int64."""
    chosen = settings(users=USERS)
    shard = Shard(chosen, CATALOG, np.arange(USERS, dtype=np.int64))
    return shard.step(shard.now_ms + 600_000).user_id


def _largest_share(labels: "np.ndarray", n_labels: int) -> float:
    """The most that one label has, relative to the mean."""
    counts = np.bincount(labels, minlength=n_labels)
    return float(counts.max() / counts.mean())


def test_partitions_get_equal_parts_as_far_as_there_are_many_listeners_for_each(events: "np.ndarray") -> None:
    found: CapacityPlan = plan(1e6)
    partitions = partitions_of(hash_of_ids(events), found.partitions)
    assert _largest_share(partitions, found.partitions) < 1.05
    few = events[events < 50]
    assert _largest_share(partitions_of(hash_of_ids(few), found.partitions), found.partitions) > 1.5


def test_shards_get_equal_parts(events: "np.ndarray") -> None:
    assert _largest_share(events % N_VIRTUAL_SHARDS % 64, 64) < 1.08


def test_a_listener_causes_about_as_many_events_as_is_taken_for_granted(events: "np.ndarray") -> None:
    assert len(events) / USERS / 600 == pytest.approx(Costs().per_listener_s, rel=0.15)
