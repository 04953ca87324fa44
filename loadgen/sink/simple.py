"""A sink in a few lines: subclass `SimpleSink`, and write each batch to your place.

    class MySink(loadgen.SimpleSink):
        def write(self, batch):
            my_place.append(bytes(batch.buffer()))

`loadgen run --sink my_package:MySink` makes one, and each worker starts a copy of it. In: batches. Out: a tally in
which an event is delivered once `write` has returned. After a crash of a worker its successor writes again what came
after the last snapshot (some half a second): at least once.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from loadgen.errors import LoadgenError, SinkError, UsageError, described
from loadgen.event import Int64s, UInt8s, UInt16s, UInt32s
from loadgen.extensions import check_portable, make, name_of
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch, Sink
from loadgen.sink.in_flight import SentColumns, count_delivered

__all__ = ["EncodedBatch", "NullSink", "SimpleSink", "Sink", "SinkContext", "StartableSink", "make_sink", "start_sink"]
MAX_SEND = 65_536
"""Events taken at a time."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink is started with, inside its worker process.

    Attributes:
        name: under which its figures stand in the summary and the manifest; the sink's `name` must equal it.
        n_rows: the number of the shard's listeners.
        run_id: names the run.
        machine, worker: together unique in the run: the I of --shard I/N, and the number of the worker there.
        completed: int64 per partition, from the snapshot of a predecessor that died; None for a fresh start.
        progress: of the same snapshot.
    """

    name: str
    n_rows: int
    run_id: str = ""
    machine: int = 0
    worker: int = 0
    completed: Int64s | None = None
    progress: Progress | None = None


class StartableSink(Sink, Protocol):
    """A sink of another package: made once, pickled, and started in each worker before anything else is asked of it."""

    def start(self, context: SinkContext) -> None:
        """Open the place; `name` must be that of the context from here on."""


class SimpleSink(ABC):
    """Base of a sink that has one partition and keeps nothing in flight.

    A subclass may have any constructor; its arguments are the options behind the `?` of --sink, as text.

    Attributes:
        context: what it was started with.
        name, tally, completed, progress: see `Sink`.
    """

    def start(self, context: SinkContext) -> None:
        """Begin empty; a subclass that opens something does so here, and calls this first."""
        self.context, self.name = context, context.name
        self.tally = Tally()
        self.completed = np.zeros(1, np.int64) if context.completed is None else context.completed.copy()
        self._progress = Progress.start(1, context.progress)

    @abstractmethod
    def write(self, batch: EncodedBatch) -> None:
        """Write all events of a batch, in order; an exception ends the run, and the batch counts as failed."""

    def close(self) -> None:  # noqa: B027 - a hook
        """Free the place; may be called twice."""

    @property
    def progress(self) -> Progress:
        """See `Sink`."""
        return self._progress.flush()

    def partitions(self, key_hash: UInt32s, page: UInt8s) -> UInt16s:
        """There is one."""
        return np.zeros(len(key_hash), np.uint16)

    def room(self) -> int:
        """There is always room: a slow place makes `write` slow."""
        return MAX_SEND

    def send(self, batch: EncodedBatch) -> None:
        """Write all events; raises SinkError."""
        if len(batch) == 0:
            return
        sent = SentColumns.of(batch, len(batch.buffer()))
        try:
            self.write(batch)
        except Exception as error:
            self._end(batch, Outcome.FAILED)
            if isinstance(error, LoadgenError):
                raise
            step = "look at what it writes to, or mend the sink"
            raise SinkError(f"sink {self.name} must write every batch, got {described(error)}; {step}") from error
        count_delivered(self.tally, sent)
        self.completed[0] += len(batch)
        self._progress.advance(0, batch.virtual_shard)

    def drop(self, batch: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up."""
        self._end(batch, Outcome.DROPPED)

    def _end(self, batch: EncodedBatch, outcome: Outcome) -> None:
        self.tally.complete(outcome, batch.page, batch.crowd)
        self.completed[0] += len(batch)
        self._progress.advance(0, batch.virtual_shard, np.full(len(batch), outcome, np.uint8))

    def poll(self, timeout_s: float) -> None:  # noqa: B027 - a hook
        """Nothing is ever in flight."""

    def flush(self, timeout_s: float) -> None:  # noqa: B027 - a hook
        """Nothing is ever in flight."""

    def marks(self) -> dict[str, int]:
        """There are no files to cut back."""
        return {}

    def round_trip_s(self) -> float:
        """There is no broker."""
        return float("nan")


class NullSink(SimpleSink):
    """Counts and forgets: it measures the generator alone."""

    def write(self, batch: EncodedBatch) -> None:
        """Keep nothing."""


def make_sink(sink: object) -> StartableSink:
    """The sink that --sink names, or a caller of the library gives: not started, and fit for worker processes.

    Raises:
        UsageError: it is not found, cannot be made from its options, is no sink, or cannot be pickled.
    """
    made = make("sink", sink)
    if all(hasattr(type(made), name) for name in ("start", "send", "close")):
        check_portable("sink", made)
        return cast(StartableSink, made)
    step = "let it be a subclass of loadgen.SimpleSink"
    raise UsageError(f"--sink {name_of(sink)} must be a sink, got {type(made).__name__}; {step}")


def start_sink(sink: StartableSink, context: SinkContext) -> Sink:
    """Start a sink in its worker.

    Raises:
        SinkError: it does not start.
    """
    try:
        sink.start(context)
    except LoadgenError:
        raise
    except Exception as error:
        step = "look at its options, or mend the sink"
        raise SinkError(f"sink {context.name} must start in each worker, got {described(error)}; {step}") from error
    if getattr(sink, "name", None) != context.name:
        step = "let it be a loadgen.SimpleSink, or set its name to context.name"
        raise SinkError(f"sink {context.name} must bear that name, got {getattr(sink, 'name', None)!r}; {step}")
    return sink
