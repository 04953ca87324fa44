"""The worker processes: started, listened to, restarted, ended.

Workers are forked from a fork server that has imported everything beforehand: a start costs milliseconds, and they
share the memory of their modules. No Kafka client exists before the fork: an inherited Producer loses messages
silently.
"""

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

import numpy as np

from loadgen.errors import WorkerDied
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.progress import Progress
from loadgen.record import Counts, WorkerRecord
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.forkserver import context
from loadgen.runner.messages import Checkpoint, FromWorker, Plan, Snapshot, ToWorker, empty_snapshot
from loadgen.runner.totals import Totals, WorkerReports, without_in_flight
from loadgen.runner.worker import run_worker
from loadgen.signals import deferred
from loadgen.sink.journal import journal_path
from loadgen.verifier.worker_progress import MAX_INCARNATIONS, ProgressFile, WorkerProgress, path_beside

MAX_RESTARTS = MAX_INCARNATIONS - 1
"""Per worker; one that dies more often than this would die the next time, too."""


@dataclass(slots=True)
class WorkerHandle(WorkerReports):
    """One worker of the team, through all its incarnations.

    Attributes:
        index: 0..workers-1.
        process, connection: of the present incarnation.
        progress: shared memory: how far it has come in this incarnation, see `WorkerProgress`.
        planned_before: int64[N_VIRTUAL_SHARDS], the furthest that a former incarnation came in each virtual shard.
        ready: whether it waits for the start.
    """

    index: int
    process: ForkServerProcess
    connection: Connection
    progress: WorkerProgress
    planned_before: Int64s = field(default_factory=lambda: np.zeros(N_VIRTUAL_SHARDS, np.int64))
    ready: bool = False

    def planned(self) -> Int64s:
        """Planned events by virtual shard: int64[N_VIRTUAL_SHARDS]. All incarnations go through the same sequence."""
        return np.maximum(self.planned_before, self.progress.planned())

    def finalize(self) -> None:
        """Close the ledger of a worker that died and has no successor: what was in flight is unfinished."""
        self.last = self.last or empty_snapshot()
        self.last.done = True

    def record(self) -> WorkerRecord:
        """Its ledger, for the manifest."""
        return WorkerRecord(
            index=self.index,
            restarts=len(self.finalized),
            repeated_possibly=self.repeated_possibly,
            sinks={name: Counts(**tally.counts()) for name, tally in Totals.of([self]).tallies.items()},
        )


class Team:
    """All workers of a run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._context = context()
        self._progress_file = ProgressFile(path_beside(plan.settings.manifest_path(plan.run_id)), plan.settings.workers)
        self.members: list[WorkerHandle] = []
        self._remove_journals()
        try:
            for index in range(plan.settings.workers):
                self.members.append(self._start(ShardAssignment(plan, index)))
        except BaseException:  # Ctrl-C too: what has been started would otherwise wait for a coordinator
            self.end()
            self.remove_progress()
            raise

    @property
    def offered_all(self) -> bool:
        """Whether every worker has offered all that it was asked for."""
        return all(member.last is not None and member.last.offered_all for member in self.members)

    def _start(self, assignment: ShardAssignment, incarnation: int = 0) -> WorkerHandle:
        ours, theirs = self._context.Pipe()
        slot = self._progress_file.slot(assignment.index, incarnation)
        process = self._context.Process(
            target=run_worker, args=(assignment, theirs, slot), name=f"loadgen worker {assignment.index}", daemon=True
        )
        with deferred():  # a worker whose assignment is cut off in the middle would print a traceback
            process.start()
        theirs.close()
        return WorkerHandle(assignment.index, process, ours, slot.open())

    def receive(self, timeout_s: float) -> Iterator[tuple[WorkerHandle, FromWorker | None]]:
        """The next message of each member that has one; None for a member that died without a final snapshot."""
        listening = {member.connection: member for member in self.members if not member.done}
        for connection in wait(list(listening), timeout_s):
            member = listening[connection]  # type: ignore[index]  # only Connections were given
            try:
                message: FromWorker = member.connection.recv()
            except (EOFError, OSError):
                yield member, None
                continue
            if isinstance(message, Snapshot):
                member.before, member.last = member.last, message
            yield member, message

    def send(self, message: ToWorker) -> None:
        """Send a message to every member that is not done."""
        for member in self.members:
            if not member.done:
                self.send_to(member, message)

    def send_to(self, member: WorkerHandle, message: ToWorker) -> None:
        """Send a message to one member; for one that has just died it is lost."""
        with suppress(OSError):
            member.connection.send(message)

    def restart(self, member: WorkerHandle) -> None:
        """Start the successor of a member that died; it goes on where the last snapshot ended.

        Raises:
            WorkerDied: it was not killed but ended by itself, or died before its first snapshot, or too often.
        """
        code = self._exit_code(member)
        how, advice = _how_it_ended(code)
        if code is not None and code >= 0:
            raise WorkerDied(f"worker {member.index} ended without a final report ({how}); {advice}")
        if member.last is None and not member.finalized:
            raise WorkerDied(f"worker {member.index} died while it was built ({how}); {advice}")
        if len(member.finalized) >= MAX_RESTARTS:
            raise WorkerDied(f"worker {member.index} died {MAX_RESTARTS + 1} times ({how}); {advice}")
        last = without_in_flight(member.last) if member.last else _where_it_began(member.finalized[-1])
        n_completed = _n_completed(last) - (_n_completed(member.finalized[-1]) if member.finalized else 0)
        if not self._plan.settings.transactional:
            member.repeated_possibly += max(0, member.progress.n_accepted - n_completed)
        checkpoint = Checkpoint(last.completed, last.progress, last.file_bytes, last.served_ns)
        fresh = self._start(ShardAssignment(self._plan, member.index, checkpoint), len(member.finalized) + 1)
        member.finalized.append(last)
        member.planned_before = member.planned()
        member.process, member.connection, member.progress = fresh.process, fresh.connection, fresh.progress
        member.last, member.before, member.ready = None, None, False

    def _exit_code(self, member: WorkerHandle) -> int | None:
        member.process.join(1.0)
        member.connection.close()
        return member.process.exitcode

    def planned(self) -> Int64s:
        """Events of each virtual shard that were planned, never fewer than a sink may hold: int64[N_VIRTUAL_SHARDS]."""
        planned: Int64s = np.sum([member.planned() for member in self.members], axis=0, dtype=np.int64)
        return planned

    def progress(self) -> dict[str, Progress]:
        """How far each sink is, over all members and all their incarnations."""
        found: dict[str, Progress] = {}
        for snapshot in chain.from_iterable(member.incarnations() for member in self.members):
            for name, progress in snapshot.progress.items():
                found.setdefault(name, Progress.start(len(progress.ended))).merge(progress)
        return found

    def remove_progress(self) -> None:
        """Remove the progress file, once the manifest has what it says."""
        self._progress_file.remove()
        self._remove_journals()

    def _remove_journals(self) -> None:
        manifest = self._plan.settings.manifest_path(self._plan.run_id)
        for index in range(self._plan.settings.workers if self._plan.settings.transactional else 0):
            journal_path(manifest, index).unlink(missing_ok=True)

    def end(self) -> None:
        """Wait for the processes that are done; kill the others."""
        for member in self.members:
            member.process.join(0.0 if not member.done else 2.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.connection.close()


def _where_it_began(before: Snapshot) -> Snapshot:
    """The last snapshot of a successor that died before its first: nothing but where its predecessor was."""
    progress = {name: Progress.start(len(one.ended), one) for name, one in before.progress.items()}
    begun = Checkpoint(before.completed, progress, before.file_bytes, before.served_ns)
    return replace(empty_snapshot(), **{one.name: getattr(begun, one.name) for one in fields(begun)})


def _n_completed(snapshot: Snapshot) -> int:
    """Events that need not be sent again to any sink: what the sink that is furthest behind has completed."""
    return min((int(counts.sum()) for counts in snapshot.completed.values()), default=0)


def _how_it_ended(code: int | None) -> tuple[str, str]:
    """An exit code in words, and what to do about it."""
    if code is None:
        return "its pipe is closed", "its process still runs; see what it said above"
    if code >= 0:
        return f"exit code {code}", "see what it said above; a worker in its place would do the same"
    number = -code
    if number == signal.SIGKILL:
        return f"signal {number}", "look for the kernel's out-of-memory killer (dmesg); lower --users or --workers"
    name = signal.strsignal(number) or "unknown"
    return f"signal {number}, {name}", "a library broke, or somebody killed it; see what it said above"
