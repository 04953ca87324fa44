"""loadgen as a library: `import loadgen` gives what is listed here; nothing else of the package is public.

    events  a stream of simulated events: Arrow record batches, a table, a data frame, or lines of JSON
    run     what `loadgen run` does, without a terminal
    verify  what `loadgen verify` does

Arguments bear the names of the command line's flags, with _ for -, and take what a configuration file takes. All of it
works in any thread. A script that calls `run` does so under `if __name__ == "__main__":`, because workers are processes
that import it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadgen.config import RunSettings, VerifySettings
from loadgen.config.layers import of_arguments
from loadgen.errors import LoadgenError, UsageError

if TYPE_CHECKING:
    from loadgen.sink.simple import StartableSink
    from loadgen.stream import EventStream

MS_PER_HOUR = 3_600_000
_OF_EVENTS = {
    *("users", "seed", "start", "end", "events", "presence", "format", "field", "tracks", "catalog"),
    *("profile", "behaviour", "impair", "shard", "crowd"),
}


def events(*, hours: float | None = None, format: str = "full", **arguments: Any) -> "EventStream":
    """The events of simulated listeners; nothing is computed before they are asked for.

    Args:
        hours: simulated time from the start on; in place of `end`.
        format: activity, listen or full: which fields an event has.
        arguments: those of `loadgen run` that say which events there are: users, seed, start, end, events, presence,
            field, tracks, catalog, profile, behaviour, impair, shard, crowd. Times are text, a date, or a datetime; a
            field is a `Field` or its name, several are a list; crowds are a list of dicts.

    Returns:
        A stream to iterate, as often as wanted: pyarrow record batches whose columns bear the wire names. It also has
        `to_arrow()`, `to_reader()`, `to_pandas()` and `lines()`. Without hours, end or events it has no end.

    Raises:
        UsageError: an argument is wrong; it names the rule, the value and the next step.
    """
    from loadgen.stream import EventStream

    others = sorted(arguments.keys() - _OF_EVENTS)
    if others:
        raise UsageError(f"events takes {', '.join(sorted(_OF_EVENTS))} and hours, got {others[0]!r}; see loadgen.run")
    given = {"format": format, "discard": True} | {name: _text(value) for name, value in arguments.items()}
    if hours is not None:
        if "end" in arguments or not hours > 0:
            raise UsageError(f"hours must be above 0, and is given in place of end, got {hours!r}; leave one out")
        start_ms = of_arguments(RunSettings, given).start_ms
        given |= {"start": start_ms, "end": start_ms + round(hours * MS_PER_HOUR)}
    if "end" not in given:
        given["rate"] = "max"
    return EventStream(of_arguments(RunSettings, given))


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        manifest: the file that says what was sent; `verify` takes it.
        kept: every event was delivered, on schedule, and every threshold was kept.
        summary: what `loadgen run --json` prints.
        problems: what went wrong, in words with the next step; empty where nothing did.
    """

    manifest: Path
    kept: bool
    summary: Mapping[str, Any]
    problems: tuple[str, ...]


def run(*, sinks: "Sequence[StartableSink | str]" = (), **arguments: Any) -> RunResult:
    """Simulate listeners and send their events, as `loadgen run` does; returns when it is over.

    Args:
        sinks: those of your own, in place of --sink: objects, which are pickled for the workers, or texts as on the
            command line.
        arguments: those of `loadgen run`: users, workers, brokers, topic, rate, duration, threshold … A number of
            seconds or minutes may be a text with its unit: "30s". `pacer` and `field` may be objects.

    Raises:
        LoadgenError: an argument is wrong, or the run could not start. One that breaks off on its way is a result.
    """
    if "sink" in arguments:
        raise UsageError("unknown argument 'sink'; did you mean sinks?")
    arguments |= {"sink": sinks} if sinks else {}
    given = {"quiet": True, "metrics_port": 0} | {name: _text(value) for name, value in arguments.items()}
    settings = of_arguments(RunSettings, given)
    for name in ("find_max_rate", "preview", "dry_run"):
        if getattr(settings, name):
            raise UsageError(f"run makes one run, got {name}; use the command line: loadgen run --{name}")
    from loadgen.runner import run_to_end
    from loadgen.runner.forkserver import start_fork_server

    start_fork_server()
    ended = run_to_end(settings)
    return RunResult(ended.path, ended.kept, ended.summary, tuple(str(problem) for problem in ended.problems))


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a comparison found.

    Attributes:
        proved: every event that was to be there is there once, unaltered and in order, and no other is.
        expected, found: how many events were to be there, and are.
        lost, repeated, altered, unexpected, out_of_order: how many events differ, by kind; 0 of those that `through`
            does not compare, which are the third and the last.
        text: what `loadgen verify` prints.
    """

    proved: bool
    expected: int
    found: int
    lost: int
    repeated: int
    altered: int
    unexpected: int
    out_of_order: int
    text: str


def verify(manifest: str | PathLike[str] | Sequence[str | PathLike[str]], **arguments: Any) -> VerifyResult:
    """Compare what a run delivered with what is in a topic, in a store or in files.

    Args:
        manifest: the run's, or those of all its shards.
        arguments: those of `loadgen verify`; one of brokers (with topic), store and files says where to look.

    Raises:
        LoadgenError: an argument is wrong, a manifest or the place cannot be read, or the run cannot be made again.
    """
    paths = [manifest] if isinstance(manifest, str | PathLike) else list(manifest)
    given = {"manifests": [str(path) for path in paths]} | {name: _text(value) for name, value in arguments.items()}
    settings = of_arguments(VerifySettings, given)
    from loadgen.verifier.verify import verify as compare

    report = compare(settings, lambda what, n_events, share: None)
    findings, counts = report.findings, report.findings.counts
    return VerifyResult(
        proved=findings.is_proved,
        expected=findings.n_expected,
        found=findings.n_found,
        lost=counts["lost"],
        repeated=counts["repeated"],
        altered=counts["altered"],
        unexpected=counts["foreign"],
        out_of_order=counts["out_of_order"],
        text="\n".join(report.as_text()),
    )


def _text(value: Any) -> Any:
    """Values of Python's own types as a configuration file has them."""
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, PathLike):
        return str(value)
    return [_text(one) for one in value] if isinstance(value, list | tuple) else value


__all__ = ["LoadgenError", "RunResult", "UsageError", "VerifyResult", "events", "run", "verify"]
