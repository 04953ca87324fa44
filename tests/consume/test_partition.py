"""What a partition says of itself: what is in Kafka and not read yet, or not stored yet."""

import time
from concurrent.futures import Future
from typing import Any

import pytest

from loadgen.consume.partition import Partition, PartitionContext
from loadgen.consume.partition_writer import PartitionWriter, RollingPolicy, WriterContext
from loadgen.consume.waiting import SchemaRequests
from loadgen.decoder import Decoder, Schemas
from loadgen.errors import RegistryUnreachable
from loadgen.store.layout import published
from loadgen.store.read import read_lines
from tests.consume.failing_store import Disk, FailingStore
from tests.consume.fake_client import FakeClient, message, run
from tests.consume.test_loop import AtOnce
from tests.consume.topic import SOURCE
from tests.schema_registry import registry_of


def a_partition(
    disk: Disk,
    *,
    low: int = 0,
    high: int = 20,
    schemas: SchemaRequests | None = None,
    trouble: Any = lambda number, problem: None,
) -> Partition:
    """Partition 0, recovered; it publishes every ten events."""
    pool, client = AtOnce(), FakeClient((), {0: (low, high)})
    writer = PartitionWriter(
        WriterContext(FailingStore(disk), SOURCE, RollingPolicy(10, 1 << 30, 3600.0), "w", pool, time.time), 0
    )
    context = PartitionContext(
        client, pool, "t", "earliest", "continue", lambda: None, lambda note: None, trouble, schemas
    )
    partition = Partition(0, writer, context)
    partition.end = high
    partition.turn(time.time())
    return partition


def test_what_is_read_is_not_stored_before_it_is_published() -> None:
    partition = a_partition(Disk())
    partition.take(run(0, 0, 7))
    partition.turn(time.time())
    assert (partition.lag, partition.n_unstored) == (13, 20)
    partition.take(run(0, 7, 3))
    for _ in range(3):  # one turn writes, one publishes
        partition.turn(time.time())
    assert (partition.lag, partition.n_unstored) == (10, 10)


def test_what_was_read_after_the_end_was_asked_for_counts_too() -> None:
    partition = a_partition(Disk(), high=4)
    partition.take(run(0, 0, 9))
    assert (partition.lag, partition.n_unstored) == (0, 9)


def test_the_next_reader_goes_on_from_what_is_stored() -> None:
    disk = Disk()
    first = a_partition(disk)
    first.take(run(0, 0, 15))
    for _ in range(3):
        first.turn(time.time())
    assert a_partition(disk, high=21).n_unstored == first.n_unstored + 1


def test_what_kafka_has_lost_is_not_waited_for() -> None:
    assert a_partition(Disk(), low=15).n_unstored == 5


AVRO = '{"type": "record", "name": "E", "fields": [{"name": "ts", "type": "long"}]}'


class Away(AtOnce):
    """A pool in which the schema registry does not answer as long as `is_away`."""

    is_away = True

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_away:
            return super().submit(fn, *args, **kwargs)
        failed: Future[None] = Future()
        failed.set_exception(RegistryUnreachable("no answer"))
        return failed


def test_a_partition_waits_for_a_schema_and_publishes_what_was_read_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.waiting.FIRST_DELAY_S", 0.01)
    disk, pool, troubles = Disk(), Away(), list[str]()
    with registry_of({7: ("AVRO", AVRO), 8: ("AVRO", AVRO)}) as (registry, server):
        schemas = Schemas(registry)
        schemas.fetch(7)
        requests = SchemaRequests(schemas, Decoder(schemas), pool)
        partition = a_partition(disk, high=4, schemas=requests, trouble=lambda _, problem: troubles.append(problem))
        client = partition._client
        assert isinstance(client, FakeClient)
        framed = [b"\0\0\0\0\7\2", b"\0\0\0\0\10\4", b"\0\0\0\0\7\6", b"\0\0\0\0\10\10"]
        sent = [message(0, at, value) for at, value in enumerate(framed)]
        partition.take(sent[:1])
        partition.at_end(4)  # which the consumer sees before it hands over what came with it
        partition.take(sent[1:])
        assert (partition.seen, client.started) == (1, set())
        for _ in range(10):
            partition.take(sent[2:])  # what was fetched before it stopped
            partition.at_end(4)
            partition.turn(time.time())
            time.sleep(0.01)
        assert (partition.seen, partition.lag, set(troubles), len(server.requests)) == (1, 3, {"no answer"}, 1)
        pool.is_away = False
        while not client.started:
            partition.turn(time.time())
            time.sleep(0.01)
        assert (client.started_at[0], troubles[-1], len(server.requests)) == (1, "", 2)
        partition.take(sent[1:])
        partition.writer.publish_now()
        for _ in range(3):
            partition.turn(time.time())
    assert (partition.seen, partition.n_unstored) == (4, 0)
    store = FailingStore(disk)
    stored = b"".join(text for file in published(store) for text in read_lines(store, file))
    assert sorted(stored.splitlines()) == [b'{"ts":%d}' % ts for ts in (1, 2, 3, 4)]
