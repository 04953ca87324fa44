"""A store's files for DuckDB, which reads by fsspec what it cannot reach itself: HDFS.

In: a store. Out: paths that a connection can read. HDFS through hdfs_native's own fsspec would have no deadline and no
read-ahead; the store's files have both.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

import duckdb
from fsspec import AbstractFileSystem

from loadgen.store import Store
from loadgen.store.local import LocalStore


class Remotes:
    """The stores that a connection reads by fsspec, each under a name of its own.

    Attributes:
        n_bytes: what was read of them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """None yet."""
        self._connection = connection
        self._names: dict[str, str] = {}
        self.n_bytes = 0

    def path(self, store: Store, path: str) -> str:
        """What the connection reads a file by; no pattern, whatever its name has in it."""
        name = self.name(store, path)
        return escaped(name) if isinstance(store, LocalStore) else name

    def name(self, store: Store, path: str) -> str:
        """What the connection calls a file."""
        if isinstance(store, LocalStore):
            return f"{store.url.rstrip('/')}/{path}"
        if store.url not in self._names:
            name = f"store{len(self._names)}"
            self._connection.register_filesystem(_StoreFiles(store, name, self._add))
            self._names[store.url] = name
        return f"{self._names[store.url]}://{path}"

    def _add(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes


def escaped(path: str) -> str:
    """A local path as a pattern that only it matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


class _Counted:
    """A file that says how much is read of it."""

    def __init__(self, file: BinaryIO, add: Callable[[int], None]) -> None:
        self._file, self._add = file, add

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._file.read(n_bytes)
        self._add(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _StoreFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What DuckDB asks of a file system, of a store."""

    cachable = False

    def __init__(self, store: Store, name: str, add: Callable[[int], None]) -> None:
        super().__init__()
        self._add = add
        self.protocol = name
        self._store = store

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return _Counted(self._store.open(self._inner(path)), self._add)

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """The file for reading."""
        return self._open(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, length and kind of a file."""
        length_bytes = self._store.length(self._inner(path))
        if length_bytes is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": length_bytes, "type": "file"}

    def modified(self, path: str) -> datetime:
        """When it was written; always the same, for what is published stays as it is."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself: only listed files are asked for."""
        return [path]

    def _inner(self, path: str) -> str:
        return path.removeprefix(f"{self.protocol}://")
