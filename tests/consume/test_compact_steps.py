"""A compactor that is killed, cut off, or overtaken at each of its steps."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from loadgen.errors import NotThere, StoreError, StoreUnreachable
from loadgen.store.layout import day_folder
from tests.consume.failing_store import Disk, FailingStore, Killed, When
from tests.consume.merging import SMALL, after_grace, filled, merge, n_files
from tests.consume.topic import DAY, Topic, assert_stored_once, drive, stored, writer_of


class At:
    """Does something around one step; counts the steps of all; a reader looks at the store before each."""

    def __init__(self, disk: Disk, at: int, when: When, action: Callable[[], None]) -> None:
        self.disk, self.at, self.when, self.action = disk, at, when, action
        self.n_steps = -1
        self.expected = stored(disk)

    def __call__(self, when: When, step: str, path: str) -> None:
        self.n_steps += when == "before"
        if when == "before" and step in ("rename", "remove"):
            assert stored(self.disk) == self.expected, f"before {step} {path}"
        if (self.n_steps, when) == (self.at, self.when):
            self.at = -1
            self.action()


SMALL_TOPIC = Topic(16, n_days=1)


def turns(disk: Disk, store: FailingStore) -> None:
    """Merge, and remove what was merged."""
    merge(disk, store)
    after_grace(disk)
    merge(disk, store)


def _store(disk: Disk, topic: Topic) -> None:
    writer = writer_of(FailingStore(disk), SMALL)
    writer.recover()
    drive(writer, topic, 10)


def _longer() -> Topic:
    """The small topic and more."""
    more = Topic(16, n_days=1, first=SMALL_TOPIC.records[-1].offset)
    more.records = [*SMALL_TOPIC.records, *more.records]
    return more


MORE = _longer()


def n_steps() -> int:
    disk = filled(topic=SMALL_TOPIC)
    watch = At(disk, -1, "before", lambda: None)
    turns(disk, FailingStore(disk, watch))
    return watch.n_steps + 1


EACH: list[tuple[int, When]] = [(at, when) for at in range(n_steps()) for when in ("before", "after")]


def assert_clean(disk: Disk, topic: Topic = SMALL_TOPIC) -> None:
    """Further calls leave one file, and the writer goes on where it was."""
    for _ in range(2):
        turns(disk, FailingStore(disk))
        assert_stored_once(disk, topic)
    assert n_files(disk) == 1
    assert writer_of(FailingStore(disk)).recover() == topic.records[-1].offset + 1


@pytest.mark.parametrize("error", [Killed(), StoreUnreachable("no reply"), NotThere("gone")])
def test_a_compactor_that_is_killed_or_cut_off_at_any_step_hides_and_doubles_nothing(error: BaseException) -> None:
    def fail() -> None:
        raise error

    for at, when in EACH:
        disk = filled(topic=SMALL_TOPIC)
        with suppress(Killed, StoreError):
            turns(disk, FailingStore(disk, At(disk, at, when, fail)))
        assert_stored_once(disk, SMALL_TOPIC)
        assert_clean(disk)


def test_a_compactor_overtaken_at_any_step_by_others_hides_and_doubles_nothing() -> None:
    n_taken = 0
    for at, when in EACH:
        disk = filled(topic=SMALL_TOPIC)

        def overtake(disk: Disk = disk) -> None:
            for _ in range(2):
                turns(disk, FailingStore(disk))

        store = FailingStore(disk, At(disk, at, when, overtake))
        n_taken += merge(disk, store).n_taken
        after_grace(disk)
        n_taken += merge(disk, store).n_taken
        assert_stored_once(disk, SMALL_TOPIC)
        assert_clean(disk)
    assert n_taken > 3


def test_a_writer_that_stores_more_at_any_step_of_a_compactor_loses_nothing() -> None:
    for at, when in EACH:
        disk = filled(topic=SMALL_TOPIC)
        watch = At(disk, at, when, lambda: None)

        def write(disk: Disk = disk, watch: At = watch) -> None:
            watch.expected = Counter((record.offset, record.day) for record in MORE.records)
            _store(disk, MORE)

        watch.action = write
        turns(disk, FailingStore(disk, watch))
        for _ in range(3):
            turns(disk, FailingStore(disk))
        assert_stored_once(disk, MORE if watch.at == -1 else SMALL_TOPIC)
        assert n_files(disk) == 1


def test_a_file_that_a_listing_missed_is_not_hidden_by_one_that_it_found() -> None:
    """The clock was set back: of two files that a writer adds, the first sorts before what is listed already."""
    disk = filled(topic=SMALL_TOPIC)
    n_listed, n_pages = 0, 3
    assert n_files(disk) == 3

    def write(when: When, step: str, path: str) -> None:
        nonlocal n_listed
        n_listed += step == "list" and path == day_folder(DAY)
        if n_listed == n_pages + 2:  # in the middle of the listing by which the merge is planned
            n_listed += 1_000_000
            for later_s, n_records in ((-3600.0, 24), (7200.0, 32)):
                disk.clock.now_s += later_s
                part = _longer()
                part.records = part.records[:n_records]
                _store(disk, part)

    merge(disk, FailingStore(disk, write))
    assert n_listed > 1_000_000
    assert_stored_once(disk, MORE)
    assert_clean(disk, MORE)
