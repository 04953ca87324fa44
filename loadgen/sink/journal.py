"""A worker's transactions in a file that survives the death of any process: what its successor knows for certain.

In: before a transaction is ended, how each of its events ends if that succeeds, and where one of them is; afterwards,
whether it did. Out: how each event of the worker's sequence ended, from the first on. At most one transaction has no
answer: the one that the worker was ending when it died.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import numpy as np

from loadgen.event import UInt8s
from loadgen.files import unwritable
from loadgen.ledger import Outcome

_RECORD = Struct("<qqq")
_PART, _ENDING, _ENDED, _FAILED, _UNKNOWN, _VOID = range(6)
"""The kinds of records: (PART, outcome, events), (ENDING, partition, offset), then what followed from that."""
_INSTEAD = {_FAILED: Outcome.FAILED, _UNKNOWN: Outcome.UNFINISHED}
Segment = tuple[Outcome, int]
"""How many events in a row ended in the same way."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Where an event of a transaction is: counted through all topics, see kafka/topics.py."""

    partition: int
    offset: int


NOWHERE = Probe(-1, -1)
"""The producer did not say of any event where it is."""


def journal_path(manifest: Path, worker: int) -> Path:
    """The file of this worker, beside the manifest of its run."""
    return manifest.with_name(f"{manifest.name}.transactions{worker}")


def segments_of(outcomes: UInt8s) -> list[Segment]:
    """The segments of events that ended so."""
    if len(outcomes) == 0:
        return []
    firsts = np.append(0, np.flatnonzero(np.diff(outcomes)) + 1)
    lengths = np.diff(np.append(firsts, len(outcomes)))
    return [(Outcome(outcomes[first]), length) for first, length in zip(firsts.tolist(), lengths.tolist(), strict=True)]


class Journal:
    """The journal of one worker, through all its incarnations.

    Attributes:
        ended: the segments so far, from the first event on.
        open: those of a transaction whose end is not known, with where to look for it; None where there is none.
    """

    def __init__(self, path: Path) -> None:
        """Open it, or make it; raises OutputUnwritable."""
        self.ended: list[Segment] = []
        self.open: tuple[list[Segment], Probe] | None = None
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            n_bytes = os.fstat(self._file).st_size // _RECORD.size * _RECORD.size
            os.truncate(self._file, n_bytes)  # of a record that a full disk has cut off
            self._replay(os.pread(self._file, n_bytes, 0))
        except OSError as error:
            raise unwritable(path, error) from error
        self._path = path

    def add(self, segments: Iterable[Segment]) -> None:
        """These events ended outside a transaction."""
        parts = list(segments)
        self._extend(parts)
        self._write([*_parts(parts), (_ENDED, 0, 0)])

    def ending(self, segments: Sequence[Segment], probe: Probe) -> None:
        """A transaction is about to be ended; in this way its events end if that succeeds."""
        self.open = (list(segments), probe)
        self._write([*_parts(segments), (_ENDING, probe.partition, probe.offset)])

    def succeeded(self) -> None:
        """The transaction was ended as it was meant to be."""
        self._answer(_ENDED)

    def failed(self) -> None:
        """The transaction was aborted although it was not meant to be; its events have failed."""
        self._answer(_FAILED)

    def unknown(self) -> None:
        """Whether the transaction was committed cannot be found out."""
        self._answer(_UNKNOWN)

    def void(self) -> None:
        """The transaction was aborted, and its events are sent again."""
        self._answer(_VOID)

    def close(self) -> None:
        """Closing twice is allowed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _answer(self, kind: int) -> None:
        self._write([(kind, 0, 0)])
        self._take(kind)

    def _take(self, kind: int) -> None:
        segments, self.open = self.open[0] if self.open else [], None
        if kind != _VOID:
            self._extend(segments if kind == _ENDED else _instead(segments, _INSTEAD[kind]))

    def _extend(self, segments: Iterable[Segment]) -> None:
        """Neighbours of one outcome become one segment, because a run may last for days."""
        for outcome, n_events in segments:
            if self.ended and self.ended[-1][0] == outcome:
                n_events += self.ended.pop()[1]
            self.ended.append((outcome, n_events))

    def _replay(self, data: bytes) -> None:
        parts: list[Segment] = []
        for kind, first, second in _RECORD.iter_unpack(data):
            if kind == _PART:
                parts.append((Outcome(first), second))
            elif kind == _ENDING:
                self.open, parts = (parts, Probe(first, second)), []
            elif parts:  # that ended outside a transaction
                self._extend(parts)
                parts = []
            else:
                self._take(kind)

    def _write(self, records: Iterable[tuple[int, int, int]]) -> None:
        data = b"".join(_RECORD.pack(*record) for record in records)
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise unwritable(self._path, error) from error


def _instead(segments: Iterable[Segment], found: Outcome) -> list[Segment]:
    """The same events where the transaction did not end as it was meant to."""
    meant = (Outcome.DELIVERED, Outcome.ABORTED)
    return [(found if outcome in meant else outcome, n) for outcome, n in segments]


def _parts(segments: Iterable[Segment]) -> list[tuple[int, int, int]]:
    return [(_PART, int(outcome), n) for outcome, n in segments]
