"""The coordinator's side of the far end: it starts the reader, keeps its latest report, and says when it dies.

In: what to read. Out: reports of `loadgen.kafka.far_end.run_reader`, and at the end of the run what they mean.
"""

import threading
from multiprocessing.context import ForkServerProcess

from loadgen.errors import SinkError
from loadgen.kafka.far_end import FarEndReport, Watched, run_reader
from loadgen.ledger import Outcome
from loadgen.record import FarEndRecord
from loadgen.runner.forkserver import context
from loadgen.runner.totals import Totals
from loadgen.signals import deferred

READY_S = 30.0
END_S = 2.0
WAIT_S = 30.0
"""The wait for what has not come out of the system when the load ends, unless another one is asked for."""


class FarEnd:
    """Watches the topic into which the system under test writes.

    Attributes:
        topic: its name.
    """

    def __init__(self, watched: Watched) -> None:
        """Start nothing yet."""
        self.topic, self._watched = watched.kafka.topic, watched
        self._latest = FarEndReport()
        self._error, self._is_closed = "", False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the reader; returns once it knows where to begin.

        Raises:
            SinkError: it cannot read the topic.
        """
        ours, theirs = context().Pipe()
        self._process: ForkServerProcess = context().Process(
            target=run_reader, args=(self._watched, theirs), name="loadgen reader of the far end", daemon=True
        )
        with deferred():
            self._process.start()
        theirs.close()
        self._connection = ours
        if not ours.poll(READY_S):
            self.close()
            raise SinkError(f"topic {self.topic} must be readable, got no answer in {READY_S:g} s; look at its brokers")
        self._receive()
        if self._error:
            raise SinkError(self._error)
        threading.Thread(target=self._run, name="far end", daemon=True).start()

    def latest(self) -> FarEndReport | None:
        """The latest report; None once the reader has failed: what it has not seen is not known."""
        with self._lock:
            return None if self._error else self._latest

    def last(self) -> FarEndReport:
        """The last report that came."""
        with self._lock:
            return self._latest

    @property
    def error(self) -> str:
        """Why there are no more reports, with the next step; empty while there are."""
        with self._lock:
            return self._error

    def close(self) -> None:
        """End the reader."""
        with self._lock:
            self._is_closed = True
        self._connection.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()

    def _run(self) -> None:
        while not self.error and not self._is_closed:
            self._receive()

    def _receive(self) -> None:
        try:
            report: FarEndReport = self._connection.recv()
        except (EOFError, OSError, TypeError):  # of a connection that is closed while it is read: any of them
            report = FarEndReport(error="its process died; look for the kernel's out-of-memory killer (dmesg)")
            with self._lock:
                if self._is_closed:
                    return
        with self._lock:
            if report.error:
                self._error = f"the reader of topic {self.topic} ended: {report.error}"
            else:
                self._latest = report


def n_missing(report: FarEndReport, totals: Totals) -> int:
    """Events that were delivered and not seen yet."""
    return max(0, totals.primary_sink.count(Outcome.DELIVERED) - report.seen)


def far_end_record(far_end: FarEnd, totals: Totals, is_awaited: bool) -> FarEndRecord:
    """What is known of the far end.

    Args:
        far_end: the watch.
        totals: of the run.
        is_awaited: all was seen, or was waited for as long as was asked for: what is missing is lost.
    """
    report, tally, error = far_end.last(), totals.primary_sink, far_end.error
    in_doubt = tally.count(Outcome.FAILED) + tally.count(Outcome.UNFINISHED) + tally.in_flight
    is_known = is_awaited and not error
    return FarEndRecord(
        topic=far_end.topic,
        seen=report.seen,
        lost=n_missing(report, totals) if is_known and not in_doubt else None,
        repeated=report.repeated if is_known else None,
        late=report.late if is_known else None,
        unrecognised=report.unrecognised,
        reader_busy=round(min(1.0, report.busy_s / report.elapsed_s), 3) if report.elapsed_s else 0.0,
        error=error or None,
    )
