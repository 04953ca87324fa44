"""The paths by which a DuckDB connection reads files of stores.

In: stores and paths. Out: names that the connection knows. It reads HDFS by fsspec through the store's own files,
because hdfs_native's fsspec has no deadline and no read-ahead.
"""

from datetime import UTC, datetime
from typing import Any, BinaryIO

import duckdb
from fsspec import AbstractFileSystem

from loadgen.store import Store
from loadgen.store.local import LocalStore


class Remotes:
    """The stores that a DuckDB connection reads by fsspec, each registered under its own name.

    Attributes:
        n_bytes: the bytes read from them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}
        self.n_bytes = 0

    def path(self, store: Store, path: str) -> str:
        """The path by which the connection reads a file, escaped so that it is not a pattern."""
        name = self.name(store, path)
        return escaped(name) if isinstance(store, LocalStore) else name

    def name(self, store: Store, path: str) -> str:
        """The connection's name of a file."""
        if isinstance(store, LocalStore):
            return f"{store.url.rstrip('/')}/{path}"
        if store.url not in self._names:
            name = f"store{len(self._names)}"
            self._connection.register_filesystem(_StoreFiles(store, name, self))
            self._names[store.url] = name
        return f"{self._names[store.url]}://{path}"


def escaped(path: str) -> str:
    """A local path as a pattern that only it matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


class _Counted:
    """A file that counts the bytes read."""

    def __init__(self, file: BinaryIO, remotes: Remotes) -> None:
        self._file, self._remotes = file, remotes

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._file.read(n_bytes)
        self._remotes.n_bytes += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _StoreFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The part of fsspec that DuckDB needs, for a store."""

    cachable = False

    def __init__(self, store: Store, name: str, remotes: Remotes) -> None:
        super().__init__()
        self._store, self.protocol, self._remotes = store, name, remotes

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """The file for reading."""
        return _Counted(self._store.open(self._inner(path)), self._remotes)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, length and kind of a file."""
        length_bytes = self._store.length(self._inner(path))
        if length_bytes is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": length_bytes, "type": "file"}

    def modified(self, path: str) -> datetime:
        """A constant, because published files never change."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself, because only listed files are read."""
        return [path]

    def _inner(self, path: str) -> str:
        return path.removeprefix(f"{self.protocol}://")
