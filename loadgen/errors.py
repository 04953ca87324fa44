"""The exceptions that cross a boundary, as a tree.

LoadgenError
├── UsageError            the command line, a variable or a configuration file is wrong   (exit code 2)
├── CatalogError          a catalogue cannot be built, read or imported
├── SinkError             an output refuses its first or its next event
│   ├── BrokerUnreachable   no broker answered in time
│   ├── TopicMissing        the topic is not there
│   ├── TopicRecreated      the topic was deleted and created again while it was in use
│   ├── AccessRefused       TLS, SASL or an ACL said no
│   ├── OutputUnwritable    a file or folder cannot be written, or the disk is full
│   └── ReaderGone          the reader of stdout or a pipe has closed it: ends the run quietly
├── StoreError            a store (folder or HDFS) refuses, or does not answer
│   ├── StoreUnreachable    it does not answer, or is starting (safe mode): the same call may work later
│   ├── StoreFull           no room, or a quota is used up
│   ├── StoreRefused        permission denied, or the path is no folder
│   ├── AlreadyThere        a file that must not be replaced is there
│   └── NotThere            no such file
├── RegistryError         a schema registry refuses, or its answer cannot be understood
│   ├── RegistryUnreachable it does not answer, or fails: the same call may work later
│   └── SchemaMissing       it has no such schema
├── OffsetGone            what a consumer must read next is no longer in the topic
├── ManifestError         a manifest cannot be read, or does not fit to the others         (exit code 2)
├── NotEnoughMemory       the population does not fit into this machine's memory
├── WorkerDied            a worker was killed, more often than allowed
└── WorkerFailed          an exception ended a worker: another one would meet it too

Every message names the thing, the rule, the value received and the next step. A caller's mistake inside
the program is a ValueError, not one of these.
"""

from errno import ENOMEM
from os.path import dirname, sep

_HERE = dirname(__file__) + sep


class LoadgenError(Exception):
    """Something a user can mend; the message says how."""

    exit_code = 1


class UsageError(LoadgenError):
    """One or more settings are wrong; the message lists every problem found."""

    exit_code = 2


class CatalogError(LoadgenError):
    """A catalogue cannot be built, read or imported."""


class SinkError(LoadgenError):
    """An output refuses its first or its next event."""


class BrokerUnreachable(SinkError):
    """No broker answered in time."""


class TopicMissing(SinkError):
    """The topic is not there."""


class TopicRecreated(SinkError):
    """The topic was deleted and created again while it was in use: another one has its name now."""


class AccessRefused(SinkError):
    """TLS, SASL or an ACL said no."""


class OutputUnwritable(SinkError):
    """A file or folder cannot be written, or the disk is full."""


class ReaderGone(SinkError):
    """The reader of stdout or a pipe has closed it (`| head`): ends the run quietly."""


class StoreError(LoadgenError):
    """A store refuses, or does not answer."""


class StoreUnreachable(StoreError):
    """The store does not answer, or is starting: the same call may work later."""


class StoreFull(StoreError):
    """The store has no room, or a quota is used up."""


class StoreRefused(StoreError):
    """Permission denied, or the path is no folder."""


class AlreadyThere(StoreError):
    """A file that must not be replaced is there."""


class NotThere(StoreError):
    """No such file."""


class RegistryError(LoadgenError):
    """A schema registry refuses, or its answer cannot be understood."""


class RegistryUnreachable(RegistryError):
    """The schema registry does not answer, or fails: the same call may work later."""


class SchemaMissing(RegistryError):
    """The schema registry has no such schema."""


class OffsetGone(LoadgenError):
    """What a consumer must read next is no longer in the topic."""


class ManifestError(LoadgenError):
    """A manifest cannot be read, or does not fit to the others: nothing was compared, so nothing is found wrong."""

    exit_code = 2


class NotEnoughMemory(LoadgenError):
    """The population does not fit into this machine's memory."""


class WorkerDied(LoadgenError):
    """A worker was killed, more often than allowed."""


class WorkerFailed(LoadgenError):
    """An exception ended a worker; another one in its place would meet it too."""


NO_MEMORY = "the system gives no more memory; lower --users, or raise `ulimit -v` or the limit of the container"
_WITHOUT_MEMORY = ("failed to map segment", "annot allocate memory", "can't start new thread")
"""What libraries say, in errors of other kinds, where a library, a file or a thread finds no memory."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception means that the system gives no more memory."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == ENOMEM:
        return True
    return any(words in str(error) for words in _WITHOUT_MEMORY)


def described(error: BaseException) -> str:
    """An exception with its text and where it was raised, for a person who does not see the traceback."""
    from traceback import extract_tb  # costs the start of every command a few milliseconds

    if lacks_memory(error):
        return NO_MEMORY
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_HERE)] or frames
    if not ours:
        return text
    name = ours[-1].filename
    shown = f"loadgen/{name.removeprefix(_HERE)}" if name.startswith(_HERE) else name
    return f"{text} (raised at {shown}:{ours[-1].lineno}, in {ours[-1].name})"
