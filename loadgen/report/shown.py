"""What a manifest says about a run's making, ready to be shown: settings, the machine, how to prove the run.

In: a run. Out: rows of name and value, and command lines.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from loadgen.config import RunSettings
from loadgen.config.shape_files import in_short
from loadgen.errors import LoadgenError
from loadgen.report import text
from loadgen.report.read import Run

NO_FIGURE = ("manifest", "report", "json", "quiet", "config", "dry_run", "percentile_log", "preview")
"""Settings that change nothing in what a run does."""
MACHINE = {"system": "System", "processor": "Processor", "cores": "Usable cores", "memory_gib": "Memory (GiB)"}
_UNREADABLE = (ValidationError, LoadgenError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
Row = tuple[str, str]


def setting_rows(run: Run) -> tuple[list[Row], list[Row]]:
    """The settings that are not as by default, then the others."""
    changed: list[Row] = []
    others: list[Row] = []
    for key, given in run.settings.items():
        kept = others if key in NO_FIGURE or _is_default(run.settings, key) else changed
        kept.append((key, setting_text(key, given)))
    return changed, others


def setting_text(key: str, given: Any) -> str:
    """A setting's value, with its unit."""
    if given is None:
        return text.NONE
    try:
        return _WRITTEN[key](given) if key in _WRITTEN else text.value(given)
    except _UNREADABLE:  # not of the type that this version gives it
        return text.value(given)


def _rate(given: Any) -> str:
    return f"{given:,g}/s" if isinstance(given, int | float) else text.value(given)


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "start": text.moment,
    "end": text.moment,
    "duration": lambda minutes: text.seconds(minutes * 60),
    "warm_up": text.seconds,
    "max_lag": text.seconds,
    "drain_timeout": text.seconds,
    "rate": _rate,
    "users": text.count,
    "events": text.count,
    "tracks": text.count,
    "shape": lambda public: text.value(in_short(public)),
    "threshold": lambda thresholds: text.plain("; ".join(thresholds)),
}
"""What is not written as JSON writes it."""


def _is_default(settings: Mapping[str, Any], key: str) -> bool:
    """Whether the run would have had this value without being told; False where this version does not know."""
    others = {name: value for name, value in settings.items() if name != key}
    try:
        return bool(RunSettings.from_public(others).public_dict().get(key) == settings[key])
    except (*_UNREADABLE, RecursionError):
        return False


def differing(a: Run, b: Run) -> list[tuple[str, str, str]]:
    """Settings, versions and facts about the machine that are not alike: name, a's value, b's value."""
    rows = []
    for kind, prefix in (("settings", ""), ("versions", "version of "), ("machine", "machine: ")):
        ours, theirs = getattr(a, kind), getattr(b, kind)
        keys = dict.fromkeys([*ours, *theirs]) if ours and theirs else {}
        for key in keys:
            if ours.get(key) != theirs.get(key) and key not in NO_FIGURE:
                values = [setting_text(key, side.get(key)) for side in (ours, theirs)]
                rows.append((prefix + text.plain(key), values[0], values[1]))
    return rows


def about_rows(run: Run) -> list[Row]:
    """Who, when, where and with what."""
    begin_ms = run.t0_wall_ms
    end_ms = None if begin_ms is None else begin_ms + run.summary.elapsed_s * 1000
    seed = run.seed if run.seed is not None else run.summary.seed
    return [
        ("Run", run.name),
        ("Began", text.moment(begin_ms)),
        ("Ended", text.moment(end_ms)),
        ("Took", text.seconds(run.summary.elapsed_s)),
        ("Seed", text.NONE if seed is None else str(seed)),
        ("Manifest", run.path or text.NONE),
        *((MACHINE.get(key, key), text.value(fact)) for key, fact in run.machine.items() if fact is not None),
        ("Versions", ", ".join(f"{name} {version}" for name, version in run.versions.items()) or text.NONE),
    ]


def proof(run: Run) -> tuple[str, list[str]]:
    """How to prove the run: a sentence, and the command lines, one for each place its events went to."""
    lines = [line for name in run.sinks for line in _verify_lines(run, name)]
    if lines:
        options = " Give the cluster's options in --kafka-config." if run.settings.get("kafka_option") else ""
        said = "Every event of this run can be made again from its manifest. Whether one was lost, repeated or changed:"
        return said + options, lines
    if run.settings.get("brokers") == "embedded":
        return "The embedded broker ended with the run: there is nothing left to verify.", []
    return "The run kept its events nowhere: there is nothing to verify.", []


def _verify_lines(run: Run, sink: str) -> Iterator[str]:
    brokers, folder, output = (run.settings.get(key) for key in ("brokers", "folder", "output"))
    if sink == "kafka" and isinstance(brokers, str) and brokers != "embedded":
        yield _line(run, "--brokers", brokers, "--topic", str(run.settings.get("topic", "")))
    if sink == "files" and isinstance(folder, str):
        yield _line(run, "--files", folder)
    if sink == "stream" and isinstance(output, str) and output != "-":
        yield _line(run, "--files", output)


def _line(run: Run, *words: str) -> str:
    return shlex.join(["loadgen", "verify", run.path, *words])
