"""What a sink remembers of events on their way, and how it writes down that they arrived.

In: the columns of the events and the time of their sending. Out: a tally that has counted them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, UInt8s, UInt16s, UInt64s
from loadgen.ledger import Outcome, Tally
from loadgen.sink import EncodedBatch


@dataclass(slots=True)
class Sent:
    """Events whose outcome is not known yet: 27 bytes each, no values.

    Attributes:
        page: uint8; slice_of: uint16; hash: uint64; due_ns: int64: see `EncodedBatch`.
        sent_ns: int64, time.monotonic_ns() when each was handed to the place.
        n_bytes: bytes of all their values together.
    """

    page: UInt8s
    virtual_shard: UInt16s
    hash: UInt64s
    due_ns: Int64s
    sent_ns: Int64s
    n_bytes: int

    @classmethod
    def of(cls, lines: EncodedBatch, n_bytes: int) -> Self:
        """These lines, sent now."""
        sent_ns = np.full(len(lines), time.monotonic_ns(), np.int64)
        return cls(lines.page, lines.virtual_shard, lines.hash, lines.due_ns, sent_ns, n_bytes)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """All of these (at least one), one after another."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.page for part in parts]),
            np.concatenate([part.virtual_shard for part in parts]),
            np.concatenate([part.hash for part in parts]),
            np.concatenate([part.due_ns for part in parts]),
            np.concatenate([part.sent_ns for part in parts]),
            sum(part.n_bytes for part in parts),
        )

    def part(self, start: int, stop: int, n_bytes: int) -> Self:
        """The events start:stop, whose values have n_bytes; without copying."""
        cut = slice(start, stop)
        return type(self)(
            self.page[cut], self.virtual_shard[cut], self.hash[cut], self.due_ns[cut], self.sent_ns[cut], n_bytes
        )

    def take(self, positions: Int64s, n_bytes: int) -> Self:
        """The events at these positions, whose values have n_bytes."""
        return type(self)(
            self.page[positions],
            self.virtual_shard[positions],
            self.hash[positions],
            self.due_ns[positions],
            self.sent_ns[positions],
            n_bytes,
        )

    def __len__(self) -> int:
        return len(self.page)


def count_delivered(tally: Tally, sent: Sent) -> None:
    """Count these events as delivered now: pages, bytes, fingerprint and both latencies."""
    now_ns = time.monotonic_ns()
    tally.settle(Outcome.DELIVERED, sent.page)
    tally.fingerprint.add(sent.virtual_shard, sent.hash)
    tally.bytes_delivered += sent.n_bytes
    tally.ack_s.record(_seconds(now_ns - sent.sent_ns))
    tally.intended_to_ack_s.record(_seconds(now_ns - sent.due_ns))


def _seconds(durations_ns: Int64s) -> npt.NDArray[np.float64]:
    return np.multiply(durations_ns, 1e-9, dtype=np.float64)


def line_lengths(lines: EncodedBatch) -> Int64s:
    """The bytes of each line, its newline included: int64[n]."""
    array = lines.lines
    if len(array) == 0:
        return np.zeros(0, np.int64)
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    return np.diff(ends).astype(np.int64)
