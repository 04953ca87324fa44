"""Rules between settings: what may not be said at the same time.

In: settings that are each valid alone. Out: a Problem for every broken rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadgen.config.settings.base import Settings
    from loadgen.config.settings.consume import ConsumeSettings
    from loadgen.config.settings.run import RunSettings
    from loadgen.config.settings.verify import VerifySettings


@dataclass(frozen=True)
class Problem:
    """A broken rule.

    Attributes:
        rule: what must hold: "workers must be 1..users".
        values: the settings concerned, by field name, with their values.
        next_step: what to do about it.
    """

    rule: str
    values: dict[str, Any]
    next_step: str

    def __str__(self) -> str:
        got = " and ".join(f"{name} {value}" for name, value in self.values.items())
        return f"{self.rule}, got {got}; {self.next_step}"


class Contradiction(ValueError):
    """Settings that are valid alone and not together; `problems` has each broken rule."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def _problem(settings: "Settings", rule: str, names: str, next_step: str) -> Problem:
    return Problem(rule, {name: getattr(settings, name) for name in names.split()}, next_step)


def of_run(settings: "RunSettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen run`."""
    for rules in (_workers, _ending, _pace, _places, _world):
        yield from rules(settings)


def _workers(s: "RunSettings") -> Iterator[Problem]:
    if s.shard.count > s.users:
        yield _problem(s, "each shard needs a listener", "shard users", "lower N of --shard or raise --users")
    elif s.workers * s.shard.count > min(s.users, 256):
        rule = f"workers x shards must be 1..{min(s.users, 256)} (no more than users, no more than 256)"
        names = "workers shard users" if s.shard.count > 1 else "workers users"
        yield _problem(s, rule, names, "lower --workers" if s.users >= 256 else "lower --workers or raise --users")


def _ending(s: "RunSettings") -> Iterator[Problem]:
    for other in ("duration_min", "events", "end_ms"):
        if s.continuous and getattr(s, other) is not None:
            rule = "a continuous run has no end of its own"
            yield _problem(s, rule, f"continuous {other}", "keep one of the two (--no-continuous overrides a file)")
    if s.end_ms is not None and s.end_ms <= s.start_ms:
        yield _problem(s, "end must be later than start", "start_ms end_ms", "give an earlier --start or a later --end")


def _pace(s: "RunSettings") -> Iterator[Problem]:
    instead = "leave it out, or use --duration in place of --end"
    if s.end_ms is not None and isinstance(s.rate, float):
        yield _problem(s, "a backfill is not paced", "end_ms rate", instead)
    if s.end_ms is not None and s.speed != 1:
        yield _problem(s, "a backfill is not paced", "end_ms speed", instead)
    elif s.rate != "natural" and s.speed != 1:
        yield _problem(s, "rate already sets how fast simulated time goes", "rate speed", "keep one of the two")


def _places(s: "RunSettings") -> Iterator[Problem]:
    for other in ("brokers", "output", "folder"):
        if s.discard and getattr(s, other) is not None:
            yield _problem(s, "discard writes nowhere", f"discard {other}", f"leave out --discard or --{other}")
    if s.compress != "none" and s.folder is None:
        step = "name the --output file .gz or .zst, set compression.type for Kafka, or add --folder"
        yield _problem(s, "compress is for the files in a folder", "compress folder", step)
    if s.create_topic and s.brokers is None:
        yield _problem(s, "create-topic needs a broker", "create_topic brokers", "add --brokers HOST:PORT")
    if s.json_summary and str(s.output) == "-":
        step = "write the events to a file, or leave out --json"
        yield _problem(s, "stdout can hold the events or the summary, not both", "json_summary output", step)


def _world(s: "RunSettings") -> Iterator[Problem]:
    if s.catalog is not None and s.tracks != type(s).model_fields["tracks"].default:
        yield _problem(s, "an imported catalogue has its own tracks", "catalog tracks", "keep one of the two")


def of_consume(s: "ConsumeSettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen consume`."""
    if s.continuous and s.until_idle_s is not None:
        step = "keep one of the two (--no-continuous overrides a file)"
        yield _problem(s, "what is continuous does not end when idle", "continuous until_idle_s", step)
    if not s.continuous and s.until_idle_s is None:
        step = "add --until-idle S, or leave out --no-continuous"
        yield _problem(s, "a consumer that is not continuous needs an end", "continuous until_idle_s", step)


def of_verify(s: "VerifySettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen verify`."""
    one = "--brokers HOST:PORT --topic NAME, --store URL or --files PATH…"
    given = [name for name in ("brokers", "store", "files") if getattr(s, name)]
    if not given:
        yield _problem(s, "verify needs a place to compare with", "brokers store files", f"add {one}")
    elif len(given) > 1:
        yield _problem(s, "verify compares with one place", " ".join(given), f"name one on the command line: {one}")
    elif given != ["brokers"] and s.topic != type(s).model_fields["topic"].default:
        yield _problem(s, "verify compares with one place", f"topic {given[0]}", f"name one on the command line: {one}")
