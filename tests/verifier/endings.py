"""Runs that ended in every way, and places that hold what such a run may have left: with faults, or without.

A run's events are made once by the real generator. An `Ending` then says how far each worker came in each partition,
as the sinks report it, and what is there of the events that were still open. A fault is planted at a random position.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.kafka.partition import hash_of_ids, partitions_of
from loadgen.ledger import Fingerprint, Outcome
from loadgen.progress import Progress
from loadgen.verifier.compare import Comparison, Findings
from loadgen.verifier.envelope import Envelope
from loadgen.verifier.manifest_spec import ManifestSpec
from loadgen.verifier.names import KnownNames
from loadgen.verifier.regenerator import ExpectedEvents, Regenerator
from loadgen.verifier.source import SourceBlock
from loadgen.verifier.spill import NUMBER_MASK, PLACE_BITS, places_of

PLACES = ("topic", "files", "store")
ENDINGS = (
    "clean", "coordinator killed", "worker killed", "drain cut short", "failures", "two Ctrl-C", "hang-up", "power loss"
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """All events that a run had planned, in the order of sending.

    Attributes:
        lines: the events.
        user_id, ts_ms, hash, virtual_shard: of each.
    """

    lines: list[bytes]
    user_id: Int64s
    ts_ms: Int64s
    hash: Any
    virtual_shard: Int64s

    @classmethod
    def of(cls, remake: Regenerator) -> "Planned":
        """Those of a run of one worker, which makes them in the order in which it sent them."""
        parts: list[ExpectedEvents] = list(
            remake.events(np.ones(N_VIRTUAL_SHARDS, np.bool_), KnownNames(None), timeless=False)
        )
        lines = [line[:-1] for part in parts for line in part.lines.to_pylist()]
        records = [orjson.loads(line) for line in lines]
        user_id = np.array([record["userId"] for record in records])
        ts_ms = np.array([record["ts"] for record in records])
        return cls(lines, user_id, ts_ms, np.concatenate([part.key for part in parts]), user_id % N_VIRTUAL_SHARDS)


@dataclass
class Message:
    """One event where it was found."""

    value: bytes
    key: bytes
    partition: int
    ts_ms: int
    has_headers: bool = False
    event: int = -1


@dataclass
class Found:
    """A source in memory: a list of messages for each partition, or for each file."""

    units: list[list[Message]]
    has_envelopes: bool
    is_store: bool
    name: str = "memory"
    notes: list[str] = field(default_factory=list)

    def blocks(self) -> Iterator[SourceBlock]:
        for number, messages in enumerate(self.units):
            values = [message.value for message in messages]
            if not values:
                continue
            if not self.has_envelopes:
                yield SourceBlock(b"".join(value + b"\n" for value in values), number)
                continue
            envelope = Envelope(
                np.array([message.partition for message in messages]),
                pa.array([message.key for message in messages], pa.binary()),
                np.array([message.ts_ms for message in messages]),
                [message.has_headers for message in messages],
                values,
            )
            places = places_of(number, np.arange(len(values)))
            yield SourceBlock(values, number, [message.key for message in messages].__getitem__, places, envelope)

    def share(self) -> float:
        return 1.0

    def groups(self) -> Int64s:
        return (
            np.arange(len(self.units)) if self.is_store or self.has_envelopes else np.zeros(len(self.units), np.int64)
        )

    def partitions(self) -> tuple[Int64s, Int64s]:
        n_units, is_known = len(self.units), self.is_store or self.has_envelopes
        return np.zeros(n_units, np.int64), np.arange(n_units) if is_known else np.full(n_units, -1)

    def where(self, place: int) -> str:
        return str(place)

    def texts(self, places: Iterable[int]) -> dict[int, bytes]:
        return {place: self.units[place >> PLACE_BITS][place & NUMBER_MASK].value for place in places}


@dataclass
class Left:
    """What a run left behind.

    Attributes:
        promise: what its manifest says.
        found: what is there, without a fault.
        required: the events (numbers) that must be there.
    """

    promise: ManifestSpec
    found: Found
    required: list[int]


def left_by(ending: str, place: str, planned: Planned, base: ManifestSpec, rng: np.random.Generator) -> Left:
    """How a run that ended so may have left its manifest and its events."""
    n_partitions = int(rng.choice([1, 3, 5])) if place != "files" else 1
    n_workers = int(rng.integers(1, 4))
    n_planned = (
        len(planned.lines) if ending == "clean" else int(rng.integers(len(planned.lines) // 2, len(planned.lines)))
    )
    partition = partitions_of(hash_of_ids(planned.user_id), n_partitions).astype(np.int64)
    worker = planned.virtual_shard % n_workers
    progress = Progress.start(n_partitions)
    delivered, uncertain = np.zeros((2, n_planned), np.bool_)
    for who in range(n_workers):
        of_worker = Progress.start(n_partitions)
        for lane in range(n_partitions):
            events = np.flatnonzero((worker[:n_planned] == who) & (partition[:n_planned] == lane))
            outcome = _outcomes(ending, len(events), rng)
            n_ended = _n_ended(ending, len(events), rng)
            for part in np.split(events[:n_ended], np.sort(rng.integers(0, n_ended + 1, 3))):
                at = np.searchsorted(events, part)
                known = outcome[at] if (outcome[at] != Outcome.DELIVERED).any() else None
                of_worker.advance(lane, planned.virtual_shard[part].astype(np.uint16), known)
            delivered[events[:n_ended]] = outcome[:n_ended] == Outcome.DELIVERED
            ahead = n_ended + np.flatnonzero(rng.random(len(events) - n_ended) < (0.2 if rng.random() < 0.3 else 0.0))
            if len(ahead):
                slices = planned.virtual_shard[events[n_ended:]].astype(np.uint16)
                places = of_worker.places(lane, slices)[ahead - n_ended]
                of_worker.set_ahead([*_ranges(of_worker), (lane, slices[ahead - n_ended], places)])
                delivered[events[ahead]] = True
        progress.merge(of_worker)
    uncertain = ~delivered
    there = delivered | (uncertain & (rng.random(n_planned) < rng.choice([0.0, 0.3, 1.0])))
    fingerprint = Fingerprint()
    fingerprint.add(planned.virtual_shard[:n_planned][delivered].astype(np.uint16), planned.hash[:n_planned][delivered])
    promise = replace(
        base,
        planned=np.bincount(planned.virtual_shard[:n_planned], minlength=N_VIRTUAL_SHARDS),
        delivered=fingerprint,
        progress=Progress.from_json(orjson.loads(orjson.dumps(progress.as_json()))),
    )
    units: list[list[Message]] = [[] for _ in range(n_partitions)]
    for event in np.flatnonzero(there).tolist():
        lane = int(partition[event])
        units[lane].append(
            Message(planned.lines[event], b"%d" % planned.user_id[event], lane, int(planned.ts_ms[event]), event=event)
        )
    found = Found(units, has_envelopes=place == "topic", is_store=place == "store")
    return Left(promise, found, np.flatnonzero(delivered).tolist())


def _ranges(progress: Progress) -> list[tuple[int, Any, Int64s]]:
    return [
        (int(lane), np.full(n, virtual_shard, np.uint16), first + np.arange(n))
        for lane, virtual_shard, first, n in progress.ahead.tolist()
    ]


def _n_ended(ending: str, n_events: int, rng: np.random.Generator) -> int:
    """How many events of a partition have an outcome."""
    if ending in ("clean", "drain cut short", "failures", "hang-up", "power loss"):
        return n_events
    return int(rng.integers(n_events // 3, n_events + 1)) if n_events else 0


def _outcomes(ending: str, n_events: int, rng: np.random.Generator) -> Any:
    outcome = np.full(n_events, Outcome.DELIVERED, np.uint8)
    if ending in ("drain cut short", "power loss"):
        outcome[int(rng.integers(n_events // 2, n_events + 1)) if n_events else 0 :] = Outcome.UNFINISHED
    if ending in ("failures", "two Ctrl-C"):
        share = rng.choice([0.02, 0.3])
        outcome[rng.random(n_events) < share] = rng.choice([Outcome.FAILED, Outcome.DROPPED])
    return outcome


def compare(left: Left, remake: Regenerator) -> Findings:
    """What the proof says."""
    remake.promise = left.promise
    return Comparison([left.promise], left.found, KnownNames(None), 3, lambda *_: None).run(lambda _: remake)


def _some(left: Left, rng: np.random.Generator) -> tuple[list[Message], int]:
    """A random message: its unit, and the position in it."""
    unit = left.found.units[int(rng.choice([at for at, unit in enumerate(left.found.units) if unit]))]
    return unit, int(rng.integers(len(unit)))


def absent(left: Left, rng: np.random.Generator) -> None:
    """Events that were delivered are missing: one, or many, or the oldest, or the newest."""
    n = int(rng.choice([1, 1, 2, 10, len(left.required) // 3]))
    n = min(max(n, 1), len(left.required))
    start = rng.choice(["oldest", "newest", "anywhere"])
    chosen = left.required[:n] if start == "oldest" else left.required[-n:]
    if start == "anywhere":
        chosen = rng.choice(left.required, n, replace=False).tolist()
    gone = set(chosen)
    left.found.units = [[message for message in unit if message.event not in gone] for unit in left.found.units]


def repeated(left: Left, rng: np.random.Generator) -> None:
    """An event is there twice."""
    unit, at = _some(left, rng)
    unit.insert(int(rng.integers(at, len(unit) + 1)), replace(unit[at]))


def altered(left: Left, rng: np.random.Generator) -> None:
    """A byte of an event is another one."""
    unit, at = _some(left, rng)
    value = bytearray(unit[at].value)
    position = int(rng.integers(len(value)))
    value[position] ^= 1 << int(rng.integers(0, 7))
    unit[at].value = bytes(value).replace(b"\n", b"\x0b")


def doubled_key(left: Left, rng: np.random.Generator) -> None:
    """A key stands twice in a record; readers take the last."""
    unit, at = _some(left, rng)
    unit[at].value = unit[at].value.replace(b"{", b'{"page":"EVIL","userId":666,', 1)


def foreign(left: Left, rng: np.random.Generator) -> None:
    """An event that was never planned."""
    unit, at = _some(left, rng)
    record = orjson.loads(unit[at].value)
    unit.insert(at, replace(unit[at], value=orjson.dumps({**record, "sessionId": record["sessionId"] + 400}), event=-1))


def another_order(left: Left, rng: np.random.Generator) -> None:
    """Two events of a listener have changed places."""
    of_listener = defaultdict(list)
    for unit in left.found.units:
        for at, message in enumerate(unit):
            of_listener[message.key].append((unit, at))
    many = [places for places in of_listener.values() if len(places) > 1]
    (unit, one), (_, other) = (lambda places, at: places[at : at + 2])(
        places := many[int(rng.integers(len(many)))], int(rng.integers(len(places) - 1))
    )
    unit[one], unit[other] = unit[other], unit[one]


def another_key(left: Left, rng: np.random.Generator) -> None:
    """A message has another key."""
    unit, at = _some(left, rng)
    unit[at].key = rng.choice([b"", b"7" + unit[at].key, b"x"])


def another_timestamp(left: Left, rng: np.random.Generator) -> None:
    """A message has another timestamp."""
    unit, at = _some(left, rng)
    unit[at].ts_ms = int(rng.choice([0, unit[at].ts_ms + 1, unit[at].ts_ms - 1000]))


def headers(left: Left, rng: np.random.Generator) -> None:
    """A message has headers."""
    unit, at = _some(left, rng)
    unit[at].has_headers = True


def another_partition(left: Left, rng: np.random.Generator) -> None:
    """A message of a listener who has several is in another partition than its key's."""
    unit, at = _some(left, rng)
    while sum(message.key == unit[at].key for message in unit) < 2:  # a store does not tell of one alone
        unit, at = _some(left, rng)
    message = unit.pop(at)
    message.partition = len(left.found.units) - 1 if message.partition == 0 else message.partition - 1
    if len(left.found.units) == 1:
        left.found.units.append([])
        message.partition = 1
    left.found.units[message.partition].append(message)


FAULTS: dict[str, tuple[Callable[[Left, np.random.Generator], None], ...]] = {
    "files": (absent, absent, repeated, altered, doubled_key, foreign, another_order),
    "store": (absent, absent, repeated, altered, doubled_key, foreign, another_order, another_partition),
    "topic": (
        absent, absent, repeated, altered, doubled_key, foreign, another_order,
        another_key, another_timestamp, headers, another_partition,
    ),
}  # fmt: skip
