"""What HDFS refuses, said in words.

In: what hdfs_native raises: OSErrors, and RuntimeErrors with a Java exception as text. Out: the StoreError to show.
"""

import re

from loadgen.errors import AlreadyThere, NotThere, StoreError, StoreFull, StoreRefused, StoreUnreachable

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
    """The error to show.

    Args:
        doing: what was tried with what, such as "read 'hdfs://…/a'".
        error: as hdfs_native raised it.
    """
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
