"""Where events are read from, in one pass: what a topic, a store and plain files have in common.

A source cuts what it has into units (files, Kafka partitions), each of which is read in order. A place is a unit and a
number in it (line, offset), see spill.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from loadgen.event import Int64s, UInt64s
from loadgen.verifier.envelope import Envelope

CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """Some of the events of a unit; or of several, where each event has a place of its own.

    Attributes:
        content: whole lines, single values, or rows of a Parquet file.
        unit: which unit; the events follow those of its block before.
        keys: the Kafka key of a single value, by its position in the block.
        places: uint64, of each event; None where `unit` and the order tell.
        envelope: what Kafka has of each event besides its value; None where it is not known.
        raw: what stands for each event that is no record: its value as it was sent. None: `content` itself.
    """

    content: bytes | Sequence[bytes] | pa.Table
    unit: int = 0
    keys: Callable[[int], bytes | None] | None = None
    places: UInt64s | None = None
    envelope: Envelope | None = None
    raw: Sequence[bytes] | None = None


class EventSource(Protocol):
    """Where events are.

    Attributes:
        name: as a person would say it.
        notes: what a person should know about it; complete once all blocks have been read.
    """

    name: str
    notes: list[str]

    def blocks(self) -> Iterator[SourceBlock]:
        """Everything that is there, once. Raises LoadgenError."""

    def share(self) -> float:
        """How much of it has been read, 0..1."""

    def groups(self) -> Int64s:
        """For each unit its group: between events of different groups the order is unknown."""

    def partitions(self) -> tuple[Int64s, Int64s]:
        """For each unit the topic (a number) and its partition that the events are from; -1 where that is not known."""

    def where(self, place: int) -> str:
        """A place as a person would say it."""

    def texts(self, places: Iterable[int]) -> dict[int, bytes]:
        """What stands at these places. Raises LoadgenError."""
