"""What a run writes is its own: no two of its paths meet, no other run writes there, no foreign file is lost.

In: the settings of a run. Out: locks that are held until the run ends, or an error before its first event. A lock is
the kernel's (`flock`), so it ends with its process, however that dies.
"""

import fcntl
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import combinations
from pathlib import Path

import orjson

from loadgen.config import RunSettings
from loadgen.errors import OutputUnwritable, UsageError
from loadgen.files import compression_of, decompressed, replaces_own, unwritable
from loadgen.formats import BUILT_IN, Format
from loadgen.record import MANIFEST_START
from loadgen.report import PAGE_MARK
from loadgen.verifier.worker_progress import path_beside

LOOK_BYTES = 4096
RECORDS = ".loadgen"
"""The folder, in a folder of events, that has a file for each run that wrote there."""


def check_apart(settings: RunSettings) -> None:
    """Compare all paths that a run writes, resolved.

    Raises:
        UsageError: two of them are one place, or stdout is wanted and closed.
    """
    if str(settings.output) == "-" and sys.stdout is None:
        raise UsageError("--output - needs a stdout, which is closed; name a file, or a pipe to a program")
    for (flag, path), (other_flag, other) in combinations(_places(settings), 2):
        if _same(path, other):
            raise UsageError(
                f"{flag} and {other_flag} must be two places, got {str(path)!r} and {str(other)!r}, which are one; "
                f"name another path for {flag}"
            )


def claim(settings: RunSettings, run_id: str, stack: ExitStack, note: Callable[[str], None]) -> None:
    """Take all places of a run, until the stack is closed; say what is replaced.

    Raises:
        OutputUnwritable: another run writes there, or a file is there that loadgen did not write, or the folder has
            the events of this seed and start already.
    """
    for flag, path in _files(settings):
        if path.exists() and not path.is_file():
            continue  # /dev/null, a named pipe; a folder is refused where it is opened
        real = Path(os.path.realpath(path))  # the same lock by whichever name
        stack.enter_context(_locked(real.with_name(f".{real.name[:200]}.lock"), path, flag, run_id, note))
        is_own = partial(_may_replace, flag, settings)
        if replaces_own(path, flag, is_own, "replace it with --overwrite"):
            note(f"{flag} {path}: replaces the file that was there")
    if settings.folder is not None:
        _claim_folder(settings, settings.folder, run_id, stack, note)


def _places(settings: RunSettings) -> Iterator[tuple[str, Path]]:
    yield from _files(settings)
    if settings.manifest is not None:
        yield "--manifest (its .reached)", path_beside(settings.manifest)
    if settings.folder is not None:
        yield "--folder", settings.folder
    if settings.percentile_log is not None:
        yield "--percentile-log", settings.percentile_log


def _files(settings: RunSettings) -> Iterator[tuple[str, Path]]:
    """The files that the user named; a manifest that is not named has the run's own name."""
    if settings.output is not None and str(settings.output) != "-":
        yield "--output", settings.output
    if settings.manifest is not None:
        yield "--manifest", settings.manifest
    if settings.report is not None:
        yield "--report", settings.report


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one place; a device, such as a terminal, may well be written by two."""
    with suppress(OSError):
        if stat.S_ISCHR(one.stat().st_mode):
            return False
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with suppress(OSError):  # a file under two names: hard links, a file system that ignores case
        return one.samefile(other)
    return False


def _may_replace(flag: str, settings: RunSettings, path: Path) -> bool:
    """Whether a former run wrote this file, seen from its first bytes; or any file may be replaced."""
    if settings.overwrite:
        return True
    how = compression_of(path) if flag == "--output" else None
    try:
        with path.open("rb") as file:
            head: bytes = decompressed(file, how).read(LOOK_BYTES) if how else file.read(LOOK_BYTES)
    except OSError:  # not readable, or not compressed
        return False
    if flag == "--report":
        return PAGE_MARK in head
    if flag == "--manifest":
        return bytes(head).translate(None, b" \n").startswith(MANIFEST_START)
    return _is_event(bytes(head).partition(b"\n")[0], (*BUILT_IN.values(), settings.wire_format))


def _is_event(line: bytes, formats: Iterable[Format]) -> bool:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and tuple(record)[:5] in {one.names[:5] for one in formats}


@contextmanager
def _locked(lock: Path, place: Path, flag: str, run_id: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file, and remove it at the end."""
    fd = _take(lock, flag, place, f"run {run_id}, process {os.getpid()}", note)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(fd)


def _take(lock: Path, flag: str, place: Path, holder: str, note: Callable[[str], None]) -> int:
    """Lock a file that is made where missing: one that its former holder has just removed is made again."""
    while True:
        try:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise unwritable(place, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            first = os.pread(fd, 200, 0).decode(errors="replace") or "another run"
            os.close(fd)
            raise OutputUnwritable(
                f"{flag} {str(place)!r} is being written by {first}; wait for its end, or name another path"
            ) from error
        except OSError as error:
            note(f"{flag} {place}: cannot be locked there ({error.strerror}), so let no other run write to it")
            return fd
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), os.stat(lock)):
                os.ftruncate(fd, 0)
                os.pwrite(fd, holder.encode(), 0)
                return fd
        os.close(fd)


def _claim_folder(
    settings: RunSettings, folder: Path, run_id: str, stack: ExitStack, note: Callable[[str], None]
) -> None:
    """Several runs may write into a folder, each into files of its own, unless their events are the same."""
    records = folder / RECORDS
    try:
        records.mkdir(exist_ok=True)
        with _locked(records / "lock", folder, "--folder", run_id, note):
            for former in sorted(records.glob("*.json")):
                _pass(settings, folder, former, note)
            record = records / f"{run_id}.json"
            record.write_text(json.dumps(_identity(settings)))
            fd = os.open(record, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise unwritable(folder, error) from error


def _identity(settings: RunSettings) -> dict[str, int]:
    return {
        "seed": settings.seed,
        "start_ms": settings.start_ms,
        "shard": settings.shard.index,
        "shards": settings.shard.count,
    }


def _pass(settings: RunSettings, folder: Path, former: Path, note: Callable[[str], None]) -> None:
    """Refuse a run whose events a former one wrote into the same folder, or remove those."""
    wanted = _identity(settings)
    try:
        found = json.loads(former.read_bytes())
        shards = (found["shard"], found["shards"])
        is_same = (found["seed"], found["start_ms"]) == (wanted["seed"], wanted["start_ms"])
    except (ValueError, KeyError, TypeError):  # cut off by a full disk
        return
    other_shard = shards[1] == wanted["shards"] and shards[0] != wanted["shard"]
    if not is_same or other_shard:
        return
    is_running, files = _is_held(former), list(folder.glob(f"year=*/month=*/day=*/events_{former.stem}_m*"))
    if is_running or (files and not settings.overwrite):
        is_there = "are being written" if is_running else "are there already"
        instead = "" if is_running else ", or replace them with --overwrite"
        raise OutputUnwritable(
            f"--folder {str(folder)!r}: the events of --seed {settings.seed} from this --start {is_there}, by run "
            f"{former.stem}, and would be there twice; name another --folder, choose another --seed{instead}"
        )
    for path in files:
        path.unlink()
    if files:
        note(f"--folder {folder}: replaces the {len(files)} files of run {former.stem}")
    former.unlink()


def _is_held(record: Path) -> bool:
    with record.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
