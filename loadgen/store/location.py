"""Which store a URL means.

In: `hdfs://namenode:8020/music_events`, `file:///srv/music_events`, a plain path. Out: a Store, or UsageError.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from loadgen.config.masks import hidden
from loadgen.errors import UsageError
from loadgen.store import Store
from loadgen.store.local import LocalStore

_SCHEME = re.compile(r"(file|hdfs)(?=:)|[a-z][a-z0-9+.-]*(?=:/)", re.IGNORECASE)
_FORMS = "hdfs://namenode:8020/music_events, file:///srv/music_events, or a plain path"


def store_at(url: str) -> Store:
    """The store at this URL; nothing is made or asked yet.

    Raises:
        UsageError: no such kind of store, or a URL without the parts it needs.
    """
    scheme = _SCHEME.match(url)
    if not url or "\0" in url:
        raise UsageError(f"the store must be a URL or a path, got {hidden(repr(url))}; name {_FORMS}")
    if scheme is None:
        return LocalStore(Path(url).expanduser())
    if scheme[0].lower() == "file":
        return LocalStore(_local_path(url))
    if scheme[0].lower() == "hdfs":
        return _hdfs(url)
    raise UsageError(f"a store must be HDFS or a local folder, got {hidden(repr(url))}; name {_FORMS}")


def _local_path(url: str) -> Path:
    found = re.fullmatch(r"file:(?://(?:localhost)?)?(/.*)", url, re.IGNORECASE | re.DOTALL)
    if found is None or found[1].startswith("//"):
        raise UsageError(
            f"a file: URL names a path of this machine, got {hidden(repr(url))}; write file:///srv/music_events"
        )
    return Path(unquote(found[1]))


def _hdfs(url: str) -> Store:
    from loadgen.store.hdfs import HdfsStore  # hdfs_native takes a moment to load, and only HDFS needs it

    if re.match("hdfs://[^/]*@", url, re.IGNORECASE):
        raise UsageError("an hdfs: URL holds no user name; leave it out, and set HADOOP_USER_NAME to be another user")
    found = re.fullmatch(r"hdfs://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?/([^/?#][^?#]*)", url, re.IGNORECASE)
    path = found[3].strip("/") if found else ""
    if found is None or not 0 < int(found[2] or 8020) < 65_536 or {"", ".", ".."} & set(path.split("/")):
        raise UsageError(
            f"an hdfs: URL needs a host and a folder, got {hidden(repr(url))}; write hdfs://namenode:8020/music_events"
        )
    return HdfsStore(found[1].lower(), int(found[2]) if found[2] else None, "/" + path)
