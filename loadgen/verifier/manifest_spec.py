"""What manifests say: what each run was to send, and what of it arrived.

Paths of manifests and the kind of place go in; `ManifestSpec`s come out, one per manifest: settings from which every
event can be made again, how many events of each virtual shard were planned, and the fingerprint of those that were
delivered to a place of this kind.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import ValidationError

from loadgen.config import RunSettings
from loadgen.config.names import OWN_SINKS
from loadgen.errors import LoadgenError, ManifestError
from loadgen.event import N_VIRTUAL_SHARDS, Int64s
from loadgen.fingerprint import run_key
from loadgen.ledger import Fingerprint
from loadgen.progress import Progress
from loadgen.simulate.behaviour import Behaviour
from loadgen.verifier.manifest import MANIFEST_VERSION, versions
from loadgen.verifier.worker_progress import read_planned

ProgressSlot = Literal["topic", "store", "folder", "file"]
_SINKS: dict[ProgressSlot, tuple[str, ...]] = {
    "topic": ("kafka",),
    "store": ("kafka", "files"),
    "folder": ("files", "stream", "kafka"),
    "file": ("stream", "files", "kafka"),
}
"""Which ledger of a run fits, the best first. Files may have been read from a topic by another consumer."""
_NO_MANIFEST = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, LoadgenError)
MOST_EVENTS = 10**15


@dataclass(frozen=True, eq=False)
class ManifestSpec:
    """What one manifest says.

    Attributes:
        path: the manifest. run_id: the run's name. settings: of the run; its secrets are lost. behaviour: how its
        listeners behaved. digest: of its catalogue. faker: the version of Faker that built the catalogue. planned:
        int64[N_VIRTUAL_SHARDS], events of each virtual shard that were planned: a prefix of the virtual shard's own
        sequence. delivered: the fingerprint of those that arrived. sink: the name of the ledger that `delivered` is
        from. progress: how far that sink came: which of the planned events may be absent. t0_wall_ms: the schedule's
        zero, ms since 1970; None where the run never started. repeated_possibly: events that the run itself may have
        sent twice. was_killed: the manifest is the last that the run wrote on its way; it was killed, or goes on.
    """

    path: Path
    run_id: str
    settings: RunSettings
    behaviour: Behaviour
    digest: str
    faker: str
    planned: Int64s
    delivered: Fingerprint
    sink: str
    progress: Progress
    t0_wall_ms: int | None
    repeated_possibly: int
    was_killed: bool = False

    @property
    def undelivered(self) -> Int64s:
        """Events of each virtual shard that were planned and did not arrive for certain: int64[N_VIRTUAL_SHARDS]."""
        missing: Int64s = np.maximum(self.planned - self.delivered.count, 0)
        return missing

    @property
    def key(self) -> np.uint64:
        """Of the hashes in its fingerprint."""
        return run_key(self.settings.seed, self.timeless)

    @property
    def timeless(self) -> bool:
        """Whether the times of its events cannot be made again, see RunSettings.timeless."""
        return self.settings.timeless

    @property
    def shuffled(self) -> bool:
        """Whether its events leave in another order than they happen."""
        return bool(self.settings.impair.late or self.settings.impair.reorder)


def read_promises(paths: Iterable[Path], place: ProgressSlot) -> list[ManifestSpec]:
    """Read manifests.

    Raises:
        ManifestError: one cannot be read, is none, was written by another version, or is given twice.
    """
    found = [_read(path, place) for path in paths]
    seen: dict[tuple[str, str], Path] = {}
    for promise in found:
        name = (promise.run_id, str(promise.settings.shard))
        if name in seen:
            raise ManifestError(
                f"each manifest must be given once, got run {promise.run_id} in {seen[name]} and in {promise.path}; "
                "leave one of them out"
            )
        seen[name] = promise.path
    return found


def _read(path: Path, place: ProgressSlot) -> ManifestSpec:
    try:
        content = orjson.loads(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise ManifestError(f"manifest {path} must be readable: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"manifest {path} must be JSON as loadgen run wrote it, got {error}; {_NAME_IT}") from error
    try:
        _check_version(path, content)
        return _promise(path, content, place)
    except ManifestError:
        raise
    except _NO_MANIFEST as error:
        raise ManifestError(
            f"manifest {path} must be as loadgen run wrote it, got {_why(error)}; {_NAME_IT}"
        ) from error


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no field {error}"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'settings'}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _check_version(path: Path, content: dict[str, Any]) -> None:
    number = content["manifest_version"]
    if number != MANIFEST_VERSION:
        raise ManifestError(
            f"manifest {path} must have version {MANIFEST_VERSION}, got {number!r}; "
            "verify it with the version of loadgen that wrote it, or run again"
        )
    written, mine = content["versions"]["loadgen"], versions()["loadgen"]
    if written != mine and "unknown" not in (written, mine):
        raise ManifestError(
            f"manifest {path} must be from this version of loadgen ({mine}), got {written!r}: another version may make "
            f"other events; verify it with `pip install loadgen=={written}`"
        )


def _promise(path: Path, content: dict[str, Any], place: ProgressSlot) -> ManifestSpec:
    settings = RunSettings.from_public(content["settings"])
    sink = _sink(path, content["sinks"], place)
    tally = content["sinks"][sink]
    promise = ManifestSpec(
        path=path,
        run_id=_text(content["run_id"]),
        settings=settings,
        behaviour=Behaviour.model_validate(content["behaviour"]),
        digest=_text(content["catalog"]["digest"]),
        faker=_text(content["versions"]["faker"]),
        planned=_planned(path, content),
        delivered=Fingerprint(_counts(tally["fingerprint"]), _totals(tally["fingerprint"]["total"])),
        sink=sink,
        progress=Progress.from_json(tally["progress"]),
        t0_wall_ms=None if content["t0_wall_ms"] is None else int(content["t0_wall_ms"]),
        repeated_possibly=int(content["summary"]["repeated_possibly"]),
        was_killed="reached" in content,
    )
    if (promise.delivered.count > promise.planned).any():
        raise ValueError("more events delivered than planned")
    return promise


def _planned(path: Path, content: dict[str, Any]) -> Int64s:
    """What the manifest says; of a run that was killed, what its workers noted last."""
    planned = _counts(content["planned"])
    if "reached" not in content:
        return planned
    return np.maximum(planned, read_planned(path.parent / Path(_text(content["reached"])).name))


def _sink(path: Path, sinks: dict[str, Any], place: ProgressSlot) -> str:
    for name in _SINKS[place]:
        if name in sinks:
            return name
    of_others = [name for name in sinks if isinstance(name, str) and name not in OWN_SINKS]
    if of_others and place in ("folder", "file"):
        return of_others[0]
    flags = {"kafka": "--brokers", "files": "--files or --store", "stream": "--files"}
    flags |= {name: f"--files (JSON lines that {name} wrote)" for name in of_others}
    fitting = [flags[name] for name in sinks if name in flags]
    step = (
        f"compare it by {' or '.join(fitting)}"
        if fitting
        else "it wrote nowhere (--discard), there is nothing to compare"
    )
    raise ManifestError(f"manifest {path} must be of a run that wrote to such a place, got {list(sinks)}; {step}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where a text must be")
    return value


def _counts(value: dict[str, Any]) -> Int64s:
    counts = value["count"]
    if value["slices"] != N_VIRTUAL_SHARDS or len(counts) != N_VIRTUAL_SHARDS:
        raise ValueError(f"counts that are not of {N_VIRTUAL_SHARDS} slices")
    if not all(type(count) is int and 0 <= count <= MOST_EVENTS for count in counts):
        raise ValueError("counts that are no numbers of events")
    return np.array(counts, np.int64)


def _totals(texts: list[str]) -> Any:
    if len(texts) != N_VIRTUAL_SHARDS or not all(len(text) == 16 for text in texts):
        raise ValueError(f"totals that are not {N_VIRTUAL_SHARDS} times 16 hexadecimal digits")
    return np.array([int(text, 16) for text in texts], np.uint64)


_NAME_IT = "name the file that loadgen run wrote: loadgen_runs/<run id>.json"
