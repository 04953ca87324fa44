"""Exactly once, whatever happens: every step of a writer fails, is its last, or is overtaken by another writer."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import get_args

import pytest

from loadgen.consume.commits import Fenced
from loadgen.consume.partition_writer import PartitionWriter
from loadgen.errors import StoreError, StoreFull, StoreUnreachable
from tests.consume.failing_store import Disk, FailingStore, Killed, When
from tests.consume.topic import Topic, assert_stored_once, drive, stored, writer_of

TOPIC = Topic(45)


class Trap:
    """Does something around one step, counted from 0."""

    def __init__(self, at: int, when: When, action: Callable[[], None]) -> None:
        self.at, self.when, self.action = at, when, action
        self.n_steps = -1
        self.step = ""

    def __call__(self, when: When, step: str, path: str) -> None:
        self.n_steps += when == "before"
        if self.n_steps == self.at and when == self.when:
            self.n_steps += 1_000_000  # once only
            self.step = f"{step} {path}"
            self.action()


def _store_all(store: FailingStore) -> PartitionWriter:
    writer = writer_of(store)
    writer.recover()
    drive(writer, TOPIC)
    return writer


def _n_steps() -> int:
    trap = Trap(-1, "before", lambda: None)
    _store_all(FailingStore(Disk(), trap))
    return trap.n_steps + 1


N_STEPS = _n_steps()
EACH: list[tuple[int, When]] = [(at, when) for at in range(N_STEPS) for when in get_args(When)]


def _raise(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def _persist(writer: PartitionWriter) -> None:
    """As the consumer does: after an error recover, and read on from there."""
    for _ in range(5):
        try:
            writer.recover()
            drive(writer, TOPIC)
        except StoreError:
            continue
        return
    raise AssertionError("the writer does not come to an end")


def test_a_run_without_trouble_takes_enough_steps_to_be_worth_disturbing() -> None:
    disk = Disk()
    writer = _store_all(FailingStore(disk))
    assert_stored_once(disk, TOPIC)
    assert N_STEPS > 50
    assert writer.next_offset == TOPIC.records[-1].offset + 1
    assert writer.published.n_publications >= 3
    assert disk.paths("_tmp/") == []
    assert writer.published.n_events + writer.published.n_dead == len(TOPIC.records)


def test_a_writer_killed_at_any_step_leaves_everything_to_the_next_one() -> None:
    for at, when in EACH:
        disk = Disk()
        trap = Trap(at, when, _raise(Killed()))
        with suppress(Killed):
            _store_all(FailingStore(disk, trap))
        assert max(stored(disk).values(), default=0) <= 1, trap.step
        _store_all(FailingStore(disk))
        assert_stored_once(disk, TOPIC)
        writer_of(FailingStore(disk)).recover()
        assert disk.paths("_tmp/") == [], trap.step


@pytest.mark.parametrize("kind", [StoreUnreachable, StoreFull, StoreError])
def test_a_writer_that_gets_an_error_or_no_reply_at_any_step_recovers(kind: type[StoreError]) -> None:
    for at, when in EACH:
        disk = Disk()
        _persist(writer_of(FailingStore(disk, Trap(at, when, _raise(kind("injected"))))))
        assert_stored_once(disk, TOPIC)


def _overtake(disk: Disk) -> None:
    _store_all(FailingStore(disk))


def test_a_writer_overtaken_at_any_step_by_one_that_stores_everything_adds_nothing() -> None:
    n_fenced = 0
    for at, when in EACH:
        disk = Disk()
        zombie = writer_of(FailingStore(disk, Trap(at, when, partial(_overtake, disk))))
        zombie.recover()
        try:
            drive(zombie, TOPIC)
        except Fenced:
            n_fenced += 1
        assert_stored_once(disk, TOPIC)
        _persist(zombie)
        assert_stored_once(disk, TOPIC)
    assert n_fenced > len(EACH) / 2


def test_a_successor_overtaken_at_any_step_by_a_zombie_that_commits_adds_nothing() -> None:
    n_fenced = 0
    for at, when in EACH:
        disk = Disk()
        zombie = _gathered(disk)
        trap = Trap(at, when, partial(_publish, zombie))
        successor = writer_of(FailingStore(disk, trap))
        try:
            successor.recover()
            drive(successor, TOPIC)
        except Fenced:
            n_fenced += 1
        assert max(stored(disk).values()) == 1, trap.step
        _persist(successor)
        assert_stored_once(disk, TOPIC)
    assert n_fenced > 3


def _gathered(disk: Disk) -> PartitionWriter:
    """A writer that holds a few records, unpublished."""
    writer = writer_of(FailingStore(disk))
    writer.recover()
    writer.add(next(TOPIC.blocks(None, 10)))
    return writer


def _publish(writer: PartitionWriter) -> None:
    with suppress(Fenced):
        writer.publish_now()
        writer.wait(1.0)
