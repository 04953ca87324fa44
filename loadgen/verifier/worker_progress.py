"""How far the workers of a run have come, in a file that survives the death of any process.

In: counts that workers write into mapped memory before they send events. Out: for each virtual shard of the listeners,
how many events were planned, never fewer than a sink may hold: what the manifest of a run lacks whose coordinator was
killed.
"""

import mmap
from contextlib import suppress
from ctypes import Structure, c_longlong, sizeof
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadgen.errors import ManifestError, OutputUnwritable
from loadgen.event import N_VIRTUAL_SHARDS, Int64s

MAX_INCARNATIONS = 6
"""Of each worker, at most: its first, and those of its successors."""


class WorkerProgress(Structure):
    """How far a worker has come, in memory that it shares with the coordinator: written before events are sent.

    So it is never behind what a sink may hold, also when the worker dies without a word.

    Attributes:
        n_accepted: events given to the sinks in this incarnation.
        by_virtual_shard: int64[N_VIRTUAL_SHARDS], events of each virtual shard planned since the beginning of the run,
            those that a predecessor has completed among them: a prefix of the virtual shard's own sequence.
    """

    _fields_ = (("n_accepted", c_longlong), ("by_virtual_shard", c_longlong * N_VIRTUAL_SHARDS))

    def planned(self) -> Int64s:
        """`by_virtual_shard`, not copied."""
        return np.ctypeslib.as_array(self.by_virtual_shard)


@dataclass(frozen=True, slots=True)
class ProgressSlot:
    """Where a worker keeps how far it has come in one of its incarnations: bytes of a file."""

    path: str
    offset: int

    def open(self) -> WorkerProgress:
        """The place as memory, shared by all who open it."""
        with open(self.path, "r+b") as file:
            return WorkerProgress.from_buffer(mmap.mmap(file.fileno(), 0), self.offset)


class ProgressFile:
    """The file with a place for each incarnation of each worker."""

    def __init__(self, path: Path, n_workers: int) -> None:
        """Make the file; one that is left of another run is replaced.

        Raises:
            OutputUnwritable: it cannot be made.
        """
        self._path = path.absolute()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self.remove()  # not emptied: a worker of a run that was killed may still write into it
            self._path.write_bytes(bytes(n_workers * MAX_INCARNATIONS * sizeof(WorkerProgress)))
        except OSError as error:
            raise OutputUnwritable(
                f"{path}, where workers note how far they are, cannot be written ({error.strerror}); "
                "choose another place with --manifest PATH"
            ) from error

    def slot(self, worker: int, incarnation: int) -> ProgressSlot:
        """Where this worker writes in this incarnation, both counted from 0."""
        return ProgressSlot(str(self._path), (worker * MAX_INCARNATIONS + incarnation) * sizeof(WorkerProgress))

    def remove(self) -> None:
        """Remove the file, once the manifest says it all."""
        with suppress(FileNotFoundError):
            self._path.unlink()


def path_beside(manifest: Path) -> Path:
    """Where the file of a run is that will write this manifest."""
    return manifest.with_name(f"{manifest.name}.reached")


def read_planned(path: Path) -> Int64s:
    """Planned events by virtual shard: int64[N_VIRTUAL_SHARDS]; a worker's incarnations go through the same sequence.

    Raises:
        ManifestError: the file cannot be read, or is none.
    """
    try:
        counts = np.frombuffer(path.read_bytes(), np.int64).reshape(-1, MAX_INCARNATIONS, 1 + N_VIRTUAL_SHARDS)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no such file"
        raise ManifestError(
            f"the run was killed, and how far it came stands in {path}, which cannot be read ({why}); "
            "put it beside the manifest again"
        ) from error
    planned: Int64s = counts[:, :, 1:].max(axis=1).sum(axis=0)
    return planned
