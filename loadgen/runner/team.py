"""The worker processes: started, heard, restarted, buried.

Workers are forked from a fork server that has imported everything beforehand: a start costs milliseconds, and they
share the memory of their modules. No Kafka client exists before the fork: an inherited Producer loses messages
silently.
"""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from loadgen.runner.totals import Totals, settled_only, sum_of
from loadgen.runner.worker import run_worker
from loadgen.signals import deferred
from loadgen.simulate.schedule import NS_PER_S
from loadgen.verifier.worker_progress import LIVES, ProgressFile, WorkerProgress, path_beside

MAX_RESTARTS = LIVES - 1
"""Per worker; one that dies more often than this will not live the next time either."""


@dataclass(slots=True)
class WorkerHandle:
    """One worker of the team, through all its lives.

    Attributes:
        index: 0..workers-1.
        process, connection: of the present life.
        reached: shared memory: how far it has come in this life, see `WorkerProgress`.
        last, before: its latest snapshot, and the one before that.
        buried: the settled totals of its former lives.
        planned_before: int64[N_VIRTUAL_SHARDS], the furthest that one of them came in each virtual shard.
        repeated_possibly: events of former lives that may be sent again.
    """

    index: int
    process: ForkServerProcess
    connection: Connection
    reached: WorkerProgress
    last: Snapshot | None = None
    before: Snapshot | None = None
    buried: list[Snapshot] = field(default_factory=list)
    planned_before: Int64s = field(default_factory=lambda: np.zeros(N_VIRTUAL_SHARDS, np.int64))
    repeated_possibly: int = 0
    ready: bool = False

    @property
    def done(self) -> bool:
        """Whether it has said its last word."""
        return self.last is not None and self.last.done

    def lives(self) -> list[Snapshot]:
        """The last snapshot of each of its lives, oldest first."""
        return [*self.buried, *([self.last] if self.last else [])]

    def planned(self) -> Int64s:
        """Planned events by virtual shard: int64[N_VIRTUAL_SHARDS]. All incarnations go through the same sequence."""
        return np.maximum(self.planned_before, self.reached.planned())


class Team:
    """All workers of a run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._context = context()
        self._board = ProgressFile(path_beside(plan.settings.manifest_path(plan.run_id)), plan.settings.workers)
        self.members: list[WorkerHandle] = []
        try:
            for index in range(plan.settings.workers):
                self.members.append(self._start(ShardAssignment(plan, index)))
        except BaseException:  # Ctrl-C too: what has been started would otherwise wait for a coordinator
            self.end()
            self.forget()
            raise

    @property
    def complete(self) -> bool:
        """Whether every worker has offered all that it was asked for."""
        return all(member.last is not None and member.last.complete for member in self.members)

    def _start(self, task: ShardAssignment, life: int = 0) -> WorkerHandle:
        ours, theirs = self._context.Pipe()
        place = self._board.place(task.index, life)
        process = self._context.Process(
            target=run_worker, args=(task, theirs, place), name=f"loadgen worker {task.index}", daemon=True
        )
        with deferred():  # a worker whose task is cut off in the middle would print a traceback
            process.start()
        theirs.close()
        return WorkerHandle(task.index, process, ours, place.open())

    def hear(self, timeout_s: float) -> Iterator[tuple[WorkerHandle, FromWorker | None]]:
        """The next message of each member that has one; None for a member that died without a last word."""
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

    def tell(self, message: ToWorker) -> None:
        """Say something to every member that still listens."""
        for member in self.members:
            if not member.done:
                self.tell_one(member, message)

    def tell_one(self, member: WorkerHandle, message: ToWorker) -> None:
        """Say something to one member; one that has just died does not hear it."""
        try:
            member.connection.send(message)
        except OSError:
            return

    def restart(self, member: WorkerHandle) -> None:
        """Start the successor of a member that died; it goes on where the last snapshot ended.

        Raises:
            WorkerDied: it was not killed but ended by itself, or died before its first snapshot, or too often.
        """
        code = self._exit_code(member)
        how, advice = _how_it_ended(code)
        if code is not None and code >= 0:
            raise WorkerDied(f"worker {member.index} ended without a last word ({how}); {advice}")
        if member.last is None:
            raise WorkerDied(f"worker {member.index} died while it was built ({how}); {advice}")
        if len(member.buried) >= MAX_RESTARTS:
            raise WorkerDied(f"worker {member.index} died {MAX_RESTARTS + 1} times ({how}); {advice}")
        last = settled_only(member.last)
        n_settled = _n_settled(last) - (_n_settled(member.buried[-1]) if member.buried else 0)
        member.repeated_possibly += max(0, member.reached.n_accepted - n_settled)
        legacy = Checkpoint(last.settled, last.progress, last.file_bytes, last.served_ns)
        fresh = self._start(ShardAssignment(self._plan, member.index, legacy), len(member.buried) + 1)
        member.buried.append(last)
        member.planned_before = member.planned()
        member.process, member.connection, member.reached = fresh.process, fresh.connection, fresh.reached
        member.last, member.before, member.ready = None, None, False

    def bury(self, member: WorkerHandle) -> None:
        """Close the account of a member that died and has no successor: what was in flight is unfinished."""
        member.last = member.last or empty_snapshot()
        member.last.done = True

    def _exit_code(self, member: WorkerHandle) -> int | None:
        member.process.join(1.0)
        member.connection.close()
        return member.process.exitcode

    def totals(self) -> Totals:
        """The sum over all members and all their lives."""
        totals = Totals()
        for member in self.members:
            totals.add_worker(member.lives(), member.before)
            totals.repeated_possibly += member.repeated_possibly
            totals.restarts += len(member.buried)
        return totals

    def planned(self) -> Int64s:
        """Events of each virtual shard that were planned, never fewer than a sink may hold: int64[N_VIRTUAL_SHARDS]."""
        planned: Int64s = np.sum([member.planned() for member in self.members], axis=0, dtype=np.int64)
        return planned

    def progress(self) -> dict[str, Progress]:
        """How far each sink is, over all members and all their lives."""
        found: dict[str, Progress] = {}
        for name, one in (
            (name, one) for member in self.members for life in member.lives() for name, one in life.progress.items()
        ):
            found.setdefault(name, Progress.start(len(one.ended))).merge(one)
        return found

    def accounts(self) -> list[WorkerRecord]:
        """The ledger of each worker, for the manifest."""
        return [
            WorkerRecord(
                index=member.index,
                restarts=len(member.buried),
                repeated_possibly=member.repeated_possibly,
                sinks={name: Counts(**one.counts()) for name, one in sum_of(member.lives()).tallies.items()},
            )
            for member in self.members
        ]

    def ended_after_s(self, t0_ns: int) -> float:
        """Seconds from the schedule's zero to the last delivery report; to now where a worker did not say."""
        ends = [member.last.ended_ns if member.last else 0 for member in self.members]
        return (max(ends) if all(ends) else time.monotonic_ns()) / NS_PER_S - t0_ns / NS_PER_S

    def forget(self) -> None:
        """Remove the file that says how far the workers came, once the manifest does."""
        self._board.remove()

    def end(self) -> None:
        """Let the processes go; kill those that do not."""
        for member in self.members:
            member.process.join(0.0 if not member.done else 2.0)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.connection.close()


def _n_settled(snapshot: Snapshot) -> int:
    """Events that need not be sent again to any sink: what the sink that is furthest behind has settled."""
    return min((int(counts.sum()) for counts in snapshot.settled.values()), default=0)


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
