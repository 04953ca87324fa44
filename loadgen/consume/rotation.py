"""When a batch ends, and how much memory the lanes of a process may hold.

In: settings. Out: `Rotation`, what a lane is told; `Budget`, what all lanes of a process share.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Literal

from loadgen.compression import Compression
from loadgen.store.layout import Suffix

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a batch ends, and what its files are like.

    Attributes:
        batch_size: records in a batch, dead letters included, and so the most events in a file.
        max_bytes: a batch ends when one of its files has grown to this, as stored; one block more may be in it.
        interval_s: a batch is published when it is this old; 0 is realtime: as soon as nothing else is being published.
        max_open_files: a batch ends when it has events of this many days.
        compress: "none", "gz" or "zst"; in Parquet, the codec of its columns.
        file_format: "jsonl" or "parquet".
    """

    batch_size: int
    max_bytes: int
    interval_s: float
    max_open_files: int = 64
    compress: Literal["none", "gz", "zst"] = "none"
    file_format: Literal["jsonl", "parquet"] = "jsonl"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_bytes < 1 or self.max_open_files < 1 or self.interval_s < 0:
            raise ValueError(f"a rotation's bounds are at least 1, its interval at least 0, got {self}")

    @property
    def codec(self) -> Compression | None:
        """How files are compressed."""
        return None if self.compress == "none" else self.compress

    @property
    def piece_bytes(self) -> int:
        """What is gathered of a file before it is written: a frame, or a row group, which needs more to be worth it."""
        return 4 * MIB if self.file_format == "parquet" else MIB

    @property
    def suffix(self) -> Suffix:
        """How the names of files end."""
        if self.file_format == "parquet":
            return "parquet"
        return "jsonl" if self.compress == "none" else f"jsonl.{self.compress}"  # type: ignore[return-value]


class Budget:
    """Bytes that lanes hold in memory, together: what is on its way to temporary files.

    Attributes:
        max_bytes: where lanes write out what they have gathered, and say that they are full.
        held_bytes: now.
    """

    def __init__(self, max_bytes: int = 64 * MIB) -> None:
        """Nothing is held yet."""
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._lock = Lock()

    def hold(self, n_bytes: int) -> None:
        """Count bytes; a negative number where they are let go."""
        with self._lock:
            self.held_bytes += n_bytes

    @property
    def is_spent(self) -> bool:
        """Whether more is held than ought to be."""
        return self.held_bytes > self.max_bytes
