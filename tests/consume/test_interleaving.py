"""Writers, compactors and readers of one partition, interleaved step by step, killed and left standing at random."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loadgen.consume.compact import compact
from loadgen.consume.partition_writer import PartitionWriter
from loadgen.errors import StoreError
from tests.consume.failing_store import Disk, FailingStore, Inline, When
from tests.consume.processes import Process
from tests.consume.topic import DAY, Topic, assert_stored_once, drive, stored, writer_of

N_WRITERS = 3
GRACE_S = 60.0


class Writer(Process):
    """A consumer that believes to own the partition."""

    def __init__(self, disk: Disk, topic: Topic) -> None:
        super().__init__(disk)
        self.writer: PartitionWriter = writer_of(self.store)
        self.topic = topic
        self.is_recovered = False

    def turn(self, n_records: int) -> None:
        """Recover if need be, take some records, publish them."""
        try:
            if not self.is_recovered:
                self.writer.recover()
                self.is_recovered = True
            for block in list(self.topic.blocks(self.writer.position, n_records))[:2]:
                self.writer.add(block)
                self.writer.tick(self.store.disk.clock())
            self.writer.publish_now()
            self.writer.wait(30.0)
        except StoreError:
            self.is_recovered = False


class Interleaving(RuleBasedStateMachine):
    """What may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.seen: Counter[tuple[int, int | None]] = Counter()

    @initialize(seed=st.integers(0, 5))
    def begin(self, seed: int) -> None:
        self.topic = Topic(30, seed, n_days=2)
        self.writers = [Writer(self.disk, self.topic) for _ in range(N_WRITERS)]
        self.compactors = [Process(self.disk) for _ in range(2)]

    @rule(who=st.integers(0, N_WRITERS - 1), n_records=st.integers(1, 6), n_steps=st.integers(0, 40))
    def write(self, who: int, n_records: int, n_steps: int) -> None:
        writer = self.writers[who]
        if not writer.busy:
            writer.start(lambda: writer.turn(n_records))
        writer.walk(n_steps)

    @rule(who=st.integers(0, 1), n_steps=st.integers(0, 60), later_s=st.sampled_from([0.0, 1.0, 2 * GRACE_S]))
    def merge(self, who: int, n_steps: int, later_s: float) -> None:
        self.disk.clock.now_s += later_s
        compactor = self.compactors[who]
        if not compactor.busy:
            compactor.start(lambda: self.compact(compactor.store))
        compactor.walk(n_steps)

    @rule(who=st.integers(0, N_WRITERS - 1), when=st.sampled_from(["before", "after"]))
    @precondition(lambda self: any(writer.busy for writer in self.writers))
    def kill_writer(self, who: int, when: When) -> None:
        if self.writers[who].busy:
            self.writers[who].disturb(when, kills=True)
            self.writers[who] = Writer(self.disk, self.topic)

    @rule(who=st.integers(0, N_WRITERS - 1), when=st.sampled_from(["before", "after"]), n_steps=st.integers(0, 20))
    @precondition(lambda self: any(writer.busy for writer in self.writers))
    def cut_off_writer(self, who: int, when: When, n_steps: int) -> None:
        if self.writers[who].busy:
            self.writers[who].disturb(when, kills=False)
            self.writers[who].walk(n_steps)

    @rule(who=st.integers(0, 1), when=st.sampled_from(["before", "after"]), kills=st.booleans())
    @precondition(lambda self: any(compactor.busy for compactor in self.compactors))
    def disturb_compactor(self, who: int, when: When, kills: bool) -> None:
        if self.compactors[who].busy:
            self.compactors[who].disturb(when, kills=kills)
            if kills:
                self.compactors[who] = Process(self.disk)

    @invariant()
    def a_reader_sees_nothing_twice_and_nothing_vanish(self) -> None:
        now = stored(self.disk)
        assert max(now.values(), default=0) <= 1
        assert not self.seen - now
        self.seen = now

    def teardown(self) -> None:
        if not hasattr(self, "topic"):
            return
        for process in (*self.writers, *self.compactors):
            process.finish()
            assert process.error is None, process.error
        for _ in range(4):
            last = writer_of(FailingStore(self.disk))
            last.recover()
            drive(last, self.topic)
            assert_stored_once(self.disk, self.topic)
            self.disk.clock.now_s += 2 * GRACE_S
            self.compact(FailingStore(self.disk))
            assert_stored_once(self.disk, self.topic)
        assert len(self.disk.paths("year=")) <= 2

    def compact(self, store: FailingStore) -> None:
        try:
            compact(store, DAY + 1, GRACE_S, self.disk.clock, pool=Inline())
        except StoreError:
            return


Interleaving.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestInterleaving = Interleaving.TestCase
