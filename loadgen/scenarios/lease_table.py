"""Leases: which worker has which shard, and how long and how much it may send without hearing from the master.

In: requests of workers, with times. Out: grants. Pure: no clock, no network.

    free ──a worker asks──▶ held ──it reports its end──▶ free, with the next fencing token
                              └──silent until its lease and MARGIN_S have passed──▶ lost ──the next that asks──▶ held

A worker sends nothing after its `Lease` has expired, and a lease begins when the worker asked, before the master
answered. So a lease that has expired on the master's clock has expired on the worker's, and only then is the shard
granted again. Events that the Kafka client accepted before may still arrive later; none of them is generated twice. A
lease also limits the number of events, which bounds what a silent worker may have sent since its last report.
"""

from dataclasses import dataclass, field

from loadgen.simulate.dynamic_population import MAX_FENCING_TOKEN

NEVER_NS = 1 << 62
NO_LIMIT = 1 << 62


@dataclass(slots=True)
class Lease:
    """Permission to send: two numbers that one thread writes and another reads.

    Attributes:
        until_ns: time.monotonic_ns() at which it ends.
        most: the limit of planned events, in total.
    """

    until_ns: int = NEVER_NS
    most: int = NO_LIMIT

    def renew(self, until_ns: int, most: int) -> None:
        """Extend both limits; a late grant changes nothing."""
        self.until_ns, self.most = max(self.until_ns, until_ns), max(self.most, most)

    def holds(self, now_ns: int, n_planned: int) -> bool:
        """Whether events may be sent now."""
        return now_ns < self.until_ns and n_planned < self.most


def ended() -> Lease:
    """An expired lease: nothing may be sent before it is renewed."""
    return Lease(0, 0)


LEASE_S = 5.0
MARGIN_S = 1.0
"""Far more than the drift between the clocks of two hosts during one lease."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The master's answer to a worker.

    Attributes:
        shard: its shard; None if none is free, or if its own was granted to another worker.
        of: the number of shards.
        fencing_token: how many workers have held the shard before.
        lost: whether its shard was granted to another worker.
    """

    shard: int | None
    of: int
    fencing_token: int = 0
    lost: bool = False


@dataclass(slots=True)
class _Shard:
    holder: str = ""
    until_s: float = 0.0
    fencing_token: int = -1


@dataclass(slots=True)
class LeaseTable:
    """The holder, the expiry and the fencing token of each shard.

    Attributes:
        n_shards: the number of shards.
        tokens_before: the next fencing token of each shard from an earlier test; missing ones are 0.
        lost: workers whose shard was granted to another one.
    """

    n_shards: int
    tokens_before: list[int] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    _shards: list[_Shard] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = self.tokens_before + [0] * self.n_shards
        self._shards = [_Shard(fencing_token=before[shard] - 1) for shard in range(self.n_shards)]

    def ask(self, worker: str, now_s: float, index: int = 0) -> Grant:
        """Grant a worker its shard for LEASE_S from now; a new worker gets the shard of its index, or another."""
        if worker in self.lost:
            return Grant(None, self.n_shards, lost=True)
        number = self.shard_of(worker)
        if number is None:
            number = self._free(now_s, index)
            if number is None:
                return Grant(None, self.n_shards)
            self._take(number, worker)
        self._shards[number].until_s = now_s + LEASE_S
        return Grant(number, self.n_shards, self._shards[number].fencing_token)

    def leave(self, worker: str) -> None:
        """Free the shard of a worker that has reported its end."""
        number = self.shard_of(worker)
        if number is not None:
            self._shards[number].holder = ""

    def shard_of(self, worker: str) -> int | None:
        """The shard that a worker holds."""
        return next((number for number, shard in enumerate(self._shards) if shard.holder == worker), None)

    def is_silent(self, worker: str, now_s: float) -> bool:
        """Whether the lease of a worker has expired, so that it sends nothing."""
        number = self.shard_of(worker)
        return number is None or now_s > self._shards[number].until_s + MARGIN_S

    def next_tokens(self) -> list[int]:
        """The next fencing token of each shard, for the next test, whose sessions must have other numbers."""
        return [shard.fencing_token + 1 for shard in self._shards]

    def _free(self, now_s: float, index: int) -> int | None:
        """A free shard: that of the index, else the one granted least often; else one whose holder is silent."""
        usable = [
            (number, shard) for number, shard in enumerate(self._shards) if shard.fencing_token < MAX_FENCING_TOKEN
        ]
        free = [number for number, shard in usable if not shard.holder]
        silent = [number for number, shard in usable if now_s > shard.until_s + MARGIN_S]
        if index in free:
            return index
        return min(free or silent, key=lambda number: (self._shards[number].fencing_token, number), default=None)

    def _take(self, number: int, worker: str) -> None:
        shard = self._shards[number]
        if shard.holder:
            self.lost.add(shard.holder)
        shard.holder, shard.fencing_token = worker, shard.fencing_token + 1
