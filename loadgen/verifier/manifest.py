"""The manifest: what a run set out to do, what became of every event, and the fingerprint of those delivered.

A JSON file. With the settings, the seed and the versions in it every event of the run can be generated again, and with
the fingerprint a topic or a folder can be held against it.
"""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from loadgen.errors import OutputUnwritable
from loadgen.event import N_VIRTUAL_SHARDS, PAGE_NAMES, Int64s
from loadgen.files import write_whole
from loadgen.histogram import Sparse
from loadgen.ledger import Fingerprint, Outcome, Tally
from loadgen.progress import Progress

MANIFEST_VERSION = 3
_PACKAGES = ("loadgen", "numpy", "pyarrow", "confluent-kafka", "orjson", "faker")


def fingerprint_json(fingerprint: Fingerprint) -> dict[str, Any]:
    """{"slices": N_VIRTUAL_SHARDS, "count": [...], "total": [16 hexadecimal digits, ...]}."""
    return {
        "slices": N_VIRTUAL_SHARDS,
        "count": fingerprint.count.tolist(),
        "total": [f"{total:016x}" for total in fingerprint.total.tolist()],
    }


def planned_json(planned: Int64s) -> dict[str, Any]:
    """{"slices": N_VIRTUAL_SHARDS, "count": [...]}: planned events by virtual shard, a prefix of its own sequence."""
    return {"slices": N_VIRTUAL_SHARDS, "count": planned.tolist()}


def sink_json(tally: Tally, progress: Progress | None) -> dict[str, Any]:
    """The ledger of one sink, and how far it came; None before any worker has said so."""
    return {**tally_json(tally), "progress": (progress or Progress.start(1)).as_json()}


def tally_json(tally: Tally) -> dict[str, Any]:
    """The ledger of one sink with its fingerprint."""
    return {
        **tally.counts(),
        "bytes": tally.bytes_delivered,
        "by_page": {outcome.name.lower(): dict(zip(PAGE_NAMES, row, strict=True)) for outcome, row in _by_page(tally)},
        "ack": Sparse.of(tally.ack_s).as_json(),
        "intended_to_ack": Sparse.of(tally.intended_to_ack_s).as_json(),
        "fingerprint": fingerprint_json(tally.fingerprint),
    }


def _by_page(tally: Tally) -> Iterable[tuple[Outcome, list[int]]]:
    return zip(Outcome, tally.by_page.tolist(), strict=True)


def versions() -> dict[str, str]:
    """The versions of everything that the events depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a folder that was never installed
            found[package] = "unknown"
    return found


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write the manifest whole or not at all.

    Raises:
        OutputUnwritable: the folder cannot be made or the file not written.
    """
    write_json(path, {"manifest_version": MANIFEST_VERSION, **content})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; raises as `write_manifest` does."""
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    try:
        write_whole(path, text)
    except OSError as error:
        raise OutputUnwritable(
            f"manifest {path} cannot be written ({error.strerror}); choose another place with --manifest PATH"
        ) from error
