"""What a Locust worker may do on its own: send until a moment, and no more events than a number.

In: grants of the master, or none where there is no master. Out: a limit, which is asked before every send. Since
nothing is sent after a lease has run out, the master knows when a worker that has fallen silent, cut off or killed, can
send no more, and how many events it may have sent since it last said something.

Which worker has which shard: the master's table. Pure: workers' names and moments go in, grants come out.

    free ──a worker asks──▶ held ──it says its last word──▶ free, its lives + 1
                              └──silent: its lease runs out, and MARGIN_S more──▶ lost ──the next that asks──▶ held

A worker sends nothing after its lease has run out (lease.py), and a lease begins when the worker asked, before the
master answered. So when a lease has run out on the master's clock, it has on the worker's: until then nobody else gets
the shard. Events that Kafka's client had taken before may still arrive later; none of them is made twice.
"""

from dataclasses import dataclass, field

from loadgen.simulate.dynamic_population import MAX_LIVES

NEVER_NS = 1 << 62
NO_LIMIT = 1 << 62


@dataclass(slots=True)
class Lease:
    """Permission to send; two numbers that one thread writes and another reads.

    Attributes:
        until_ns: time.monotonic_ns() at which it ends.
        most: events that may be planned in all.
    """

    until_ns: int = NEVER_NS
    most: int = NO_LIMIT

    def renew(self, until_ns: int, most: int) -> None:
        """Move both limits on; a grant that comes late changes nothing."""
        self.until_ns, self.most = max(self.until_ns, until_ns), max(self.most, most)

    def holds(self, now_ns: int, n_planned: int) -> bool:
        """Whether events may be sent now."""
        return now_ns < self.until_ns and n_planned < self.most


def ended() -> Lease:
    """A lease that has run out: nothing may be sent before it is renewed."""
    return Lease(0, 0)


LEASE_S = 5.0
MARGIN_S = 1.0
"""Clocks of two hosts differ in speed by far less than this in one lease."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker is given.

    Attributes:
        shard: which one; None where none is free, or where its own was given to another.
        of: the number of shards.
        fencing_token: how many workers have had it before.
        lost: it had one, and has it no more.
    """

    shard: int | None
    of: int
    fencing_token: int = 0
    lost: bool = False


@dataclass(slots=True)
class _Shard:
    holder: str = ""
    until_s: float = 0.0
    lives: int = -1


@dataclass(slots=True)
class LeaseTable:
    """The table.

    Attributes:
        n_shards: into so many the listeners are cut.
        lost: workers whose shard was taken from them, and the last moment at which they may have sent.
    """

    n_shards: int
    lives_before: list[int] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    _shards: list[_Shard] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = self.lives_before + [0] * self.n_shards
        self._shards = [_Shard(lives=before[shard] - 1) for shard in range(self.n_shards)]

    def ask(self, worker: str, now_s: float, index: int = 0) -> Grant:
        """The shard of a worker, from now on for LEASE_S; one that has none gets that of its index, or another."""
        if worker in self.lost:
            return Grant(None, self.n_shards, lost=True)
        number = self.shard_of(worker)
        if number is None:
            number = self._free(now_s, index)
            if number is None:
                return Grant(None, self.n_shards)
            self._take(number, worker)
        self._shards[number].until_s = now_s + LEASE_S
        return Grant(number, self.n_shards, self._shards[number].lives)

    def leave(self, worker: str) -> None:
        """A worker has said its last word: its shard is free."""
        number = self.shard_of(worker)
        if number is not None:
            self._shards[number].holder = ""

    def shard_of(self, worker: str) -> int | None:
        """The shard that a worker holds."""
        return next((number for number, shard in enumerate(self._shards) if shard.holder == worker), None)

    def is_silent(self, worker: str, now_s: float) -> bool:
        """Whether the lease of a worker has run out: it sends nothing."""
        number = self.shard_of(worker)
        return number is None or now_s > self._shards[number].until_s + MARGIN_S

    def lives(self) -> list[int]:
        """How many workers have had each shard: for the next test, whose sessions must have other numbers."""
        return [shard.lives + 1 for shard in self._shards]

    def _free(self, now_s: float, index: int) -> int | None:
        """A shard that nobody has, best that of the index, or one that nobody had; else one whose holder is silent."""
        usable = [(number, shard) for number, shard in enumerate(self._shards) if shard.lives < MAX_LIVES]
        free = [number for number, shard in usable if not shard.holder]
        silent = [number for number, shard in usable if now_s > shard.until_s + MARGIN_S]
        if index in free:
            return index
        return min(free or silent, key=lambda number: (self._shards[number].lives, number), default=None)

    def _take(self, number: int, worker: str) -> None:
        shard = self._shards[number]
        if shard.holder:
            self.lost.add(shard.holder)
        shard.holder, shard.lives = worker, shard.lives + 1
