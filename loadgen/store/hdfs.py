"""A store in HDFS, by hdfs_native, without Java on this side.

In: paths and bytes. Out: files that are complete, and on the DataNodes' disks, once `close` has returned. What HDFS
refuses (OSErrors, and RuntimeErrors with a Java exception as text) is raised as a StoreError with the next step.

The client waits for ever for a NameNode that hangs, so each call has a deadline here, and after one that missed it the
next call makes a new connection. A NameNode that is down is noticed in 3 s, one that hangs in 10 to 20 s.

**A call that missed its deadline, or lost its reply, may still have its effect later.** So a rename whose end is
unknown has to be tried again until its end is known, and the name of a temporary file is never used a second time.
"""

import os
import posixpath
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from hdfs_native import Client, FileStatus, WriteOptions

from loadgen.calls import Calls, Unanswered
from loadgen.errors import AlreadyThere, NotThere, StoreError, StoreFull, StoreRefused, StoreUnreachable
from loadgen.files import Bytes
from loadgen.store import StoredFile, Writer
from loadgen.store.layout import checked, is_hidden
from loadgen.store.read import open_ranges

if TYPE_CHECKING:
    from hdfs_native._internal import RawFileWriter


_JAVA = re.compile(r'(?:Fatal)?RPCError\("([\w.$]+)", "(.*)"\)', re.DOTALL)
_NODES = re.compile(r"There are (\d+) datanode\(s\) running and (\w+) node\(s\) are excluded")

_RULES: tuple[tuple[str, type[StoreError], str], ...] = (
    ("SafeModeException", StoreUnreachable, "HDFS is starting: wait, or see `hdfs dfsadmin -safemode get`"),
    ("StandbyException|ServerTooBusy|RetriableException", StoreUnreachable, "try again in a while"),
    ("QuotaExceededException|QuotaByStorageType", StoreFull, "a quota is used up: remove files, or raise the quota"),
    ("MaxDirectoryItemsExceeded", StoreFull, "the folder holds as many files as HDFS allows: compact it"),
    ("is not a directory|ParentNotDirectory|as a directory|both be directories", StoreRefused, "name another folder"),
    ("IsADirectoryError|Path is not a file|PathIsNotEmptyDirectory", StoreRefused, "that is a folder: name a file"),
    ("AccessControlException|Permission denied", StoreRefused, "name another folder, or set HADOOP_USER_NAME"),
    ("SASLError|GSSAPIError|NoSASLMechanism|AuthorizationException", StoreRefused, "log in with kinit"),
    ("PathComponentTooLong|InvalidPath", StoreRefused, "name another folder"),
    ("FileExistsError", AlreadyThere, "name another path, or remove it"),
    ("LeaseExpired|FileNotFound", NotThere, "look what is in the store"),
    ("Already borrowed", StoreUnreachable, "an earlier call has no answer yet"),
    ("No NameNode hosts|UrlParseError|XmlParseError", StoreRefused, "check the URL, and HADOOP_CONF_DIR"),
)
_UNREACHABLE = "are the NameNode and the DataNodes up, and the address right? The same call may work later"


def in_words(doing: str, error: BaseException) -> StoreError:
    """The error to show; `doing`: what was tried with what, such as "read 'hdfs://…/a'"."""
    java = _JAVA.search(str(error))
    name, text = java.groups() if java else (type(error).__name__, str(error))
    what = re.split(r"\n|\\n", text, maxsplit=1)[0].strip() or name
    kind, step = _kind(f"{name} {text}", error)
    return kind(f"cannot {doing}: {what}; {step}")


def _kind(text: str, error: BaseException) -> tuple[type[StoreError], str]:
    nodes = _NODES.search(text)
    if nodes and nodes[1] == "0":
        return StoreUnreachable, "no DataNode runs: start one; the same call may work later"
    if nodes:
        is_excluded = nodes[2] != "no" and int(nodes[2]) >= int(nodes[1])
        return (
            (StoreUnreachable, "the DataNodes fail") if is_excluded else (StoreFull, "no DataNode has room: add disks")
        )
    for pattern, kind, step in _RULES:
        if re.search(pattern, text):
            return kind, step
    if isinstance(error, OSError) or re.search("DataTransfer|BlocksNotFound|BlockMissing|OperationFailed", text):
        return StoreUnreachable, _UNREACHABLE
    return StoreError, "see the NameNode's log"


CALL_S = 10.0
"""For an answer of the NameNode: longer than it stops to collect garbage."""
DEFAULT_PORT = 8020
OPTIONS = {
    "dfs.client.failover.max.attempts": "3",
    "dfs.client.failover.sleep.base.millis": "200",
    "dfs.client.failover.sleep.max.millis": "2000",
    "dfs.client.socket-timeout": "10000",
}
"""By default the client tries 177 s to reach a NameNode, and waits 60 s for a DataNode that it reads from."""

T = TypeVar("T")


class HdfsStore:
    """Files below a folder of HDFS; see `Store`."""

    def __init__(self, host: str, port: int | None, root: str) -> None:
        """Name the place; nothing is asked yet.

        Args:
            host: of the NameNode, or the name of a nameservice that HADOOP_CONF_DIR knows.
            port: of the NameNode; None for a nameservice, or for the usual port.
            root: the folder, absolute.
        """
        self._host, self._port, self._root = host, port, root
        self.url = f"hdfs://{host}{f':{port}' if port else ''}{root}"
        self._calls = Calls()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._process = os.getpid()

    def create(self, path: str) -> Writer:
        full, options = self._full(path), WriteOptions(overwrite=True)
        return HdfsWriter(self, path, self.ask(f"write {path!r}", lambda client: client.inner.create(full, options)))

    def write(self, path: str, data: Bytes) -> None:
        writer = self.create(path)
        writer.write(data)
        writer.close()

    def rename(self, source: str, target: str) -> None:
        full_source, full_target = self._full(source), self._full(target)

        def rename(client: Client) -> None:
            try:
                client.rename(full_source, full_target)
            except FileNotFoundError as error:
                if "destination parent" not in str(error):
                    raise
                client.mkdirs(posixpath.dirname(full_target), create_parent=True)
                client.rename(full_source, full_target)

        self.ask(f"rename {source!r} to {target!r}", rename)

    def length(self, path: str) -> int | None:
        full = self._full(path)
        try:
            status = self.ask(f"look at {path!r}", lambda client: client.get_file_info(full))
        except NotThere:
            return None
        if status.isdir:
            raise StoreRefused(f"cannot look at {path!r} in {self.url}: that is a folder: name a file")
        return status.length

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        full, doing = self._full(path), f"read {path!r}"
        reader = self.ask(doing, lambda client: client.read(full))
        return open_ranges(len(reader), lambda start, n: self.work(doing, lambda: reader.read_range(start, n)))

    def files(self, folder: str = "", *, hidden: bool = False) -> Iterator[StoredFile]:
        yield from self._walk(checked(folder) if folder else "", hidden)

    def remove(self, path: str) -> None:
        full = self._full(path)
        self.ask(f"remove {path!r}", lambda client: client.delete(full))

    def close(self) -> None:
        with self._lock:
            self._client = None

    def ask(self, doing: str, call: Callable[[Client], T]) -> T:
        """Have the NameNode do something, such as "read 'a'".

        Raises:
            StoreError: it refuses, or does not answer in time.
        """
        client = self._connected(doing)
        try:
            return self._calls.make(lambda: call(client), CALL_S)
        except Unanswered as error:
            with self._lock:
                self._client = None if self._client is client else self._client
            raise self._unanswered(doing, error) from error
        except Exception as error:
            raise in_words(f"{doing} in {self.url}", error) from error

    def work(self, doing: str, call: Callable[[], T]) -> T:
        """Move data, which takes as long as it takes, while the NameNode answers.

        Raises:
            StoreError: HDFS refuses, or the NameNode does not answer any more.
        """
        try:
            return self._calls.make(call, CALL_S, lambda: self._see_alive(doing))
        except Unanswered as error:
            raise self._unanswered(doing, error) from error
        except StoreError:
            raise
        except Exception as error:
            raise in_words(f"{doing} in {self.url}", error) from error

    def remove_later(self, path: str) -> None:
        """Remove a file some time, if that is possible; does not wait."""
        full = self._full(path)
        with suppress(StoreError, Unanswered):
            client = self._connected("remove")
            self._calls.start(lambda: client.delete(full))

    def _see_alive(self, doing: str) -> None:
        """Return if the NameNode answers, whatever; raises StoreError."""
        with suppress(NotThere, StoreRefused):
            self.ask(doing, lambda client: client.get_file_info(self._root))

    def _full(self, path: str) -> str:
        return f"{self._root}/{checked(path)}"

    def _unanswered(self, doing: str, error: Unanswered) -> StoreUnreachable:
        return StoreUnreachable(f"cannot {doing} in {self.url}: {error}; see whether the NameNode hangs")

    def _connected(self, doing: str) -> Client:
        if os.getpid() != self._process:
            raise ValueError("a store in HDFS belongs to the process that opened it; open another one")
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._connect()
                except Exception as error:
                    raise in_words(f"{doing} in {self.url}", error) from error
            return self._client

    def _connect(self) -> Client:
        """A client, which connects when it is asked something."""
        if self._port is None:
            with suppress(RuntimeError):  # it is no nameservice
                return Client(f"hdfs://{self._host}", OPTIONS)
            self._port = DEFAULT_PORT
        return Client(f"hdfs://{self._host}:{self._port}", OPTIONS)

    def _walk(self, folder: str, hidden: bool) -> Iterator[StoredFile]:
        for name, status in self._entries(folder, hidden):
            path = f"{folder}/{name}" if folder else name
            if status.isdir:
                yield from self._walk(path[:-1], hidden)
            else:
                yield StoredFile(path, status.length, status.modification_time / 1000)

    def _entries(self, folder: str, hidden: bool) -> list[tuple[str, FileStatus]]:
        """What is in a folder, by name; folders with a slash behind the name, so that paths come in their order."""
        doing, full = f"list {folder!r}", f"{self._root}/{folder}" if folder else self._root
        client = self._connected(doing)
        try:
            found = self.work(doing, lambda: list(client.list_status(full)))
        except NotThere:
            return []
        if len(found) == 1 and found[0].path == full:
            raise StoreRefused(f"cannot {doing} in {self.url}: it is a file: name a folder")
        named = ((posixpath.basename(status.path), status) for status in found)
        shown = (item for item in named if hidden or not is_hidden(item[0]))
        return sorted(((name + "/" * status.isdir, status) for name, status in shown), key=lambda item: item[0])


class HdfsWriter:
    """A file that is being written; see `Writer`.

    Around the raw writer: hdfs_native's FileWriter closes itself, and so publishes half a file, when it is collected.
    """

    def __init__(self, store: HdfsStore, path: str, inner: "RawFileWriter") -> None:
        self._store, self._path = store, path
        self._inner: RawFileWriter | None = inner
        self._is_broken = False

    def write(self, data: Bytes) -> None:
        """Append; waits only while the DataNodes are slower than the caller."""
        inner = self._sound()
        content = bytes(data)  # a memoryview is copied byte by byte inside, which takes ten times as long
        self._work(lambda: inner.write(content))

    def close(self) -> None:
        """Have the DataNodes sync it to disk, and the NameNode know it as whole, which takes half a second."""
        inner = self._sound()

        def close() -> None:
            _sync(inner)
            inner.close()

        self._work(close)
        self._inner = None

    def abandon(self) -> None:
        """Drop it without closing; it is removed some time."""
        if self._inner is not None:
            self._inner = None
            self._store.remove_later(self._path)

    def _sound(self) -> "RawFileWriter":
        if self._inner is None or self._is_broken:
            raise ValueError(f"{self._path!r} is closed, or a write to it has failed; abandon it")
        return self._inner

    def _work(self, call: Callable[[], object]) -> None:
        self._is_broken = True
        self._store.work(f"write {self._path!r}", call)
        self._is_broken = False


def _sync(file: "RawFileWriter") -> None:
    try:
        file.hsync()
    except RuntimeError as error:
        if "erasure-coded" not in str(error):  # HDFS cannot sync those
            raise
