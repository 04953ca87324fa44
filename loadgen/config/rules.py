"""Rules between settings that are each valid alone.

In: settings. Out: a `Problem` for every broken rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadgen.config.names import topic_place
from loadgen.config.values import say_moment

if TYPE_CHECKING:
    from loadgen.config.settings.check import VerifySettings
    from loadgen.config.settings.consume import ConsumeSettings
    from loadgen.config.settings.replay import ReplaySettings
    from loadgen.config.settings.run import RunSettings


@dataclass(frozen=True)
class Problem:
    """A broken rule.

    Attributes:
        rule: "workers must be 1..users".
        values: field name → value, of the settings involved.
        next_step: how to fix it.
    """

    rule: str
    values: dict[str, Any]
    next_step: str

    def __str__(self) -> str:
        moments = {name: say_moment(value) for name, value in self.values.items() if name.endswith("_ms") and value}
        got = " and ".join(f"{name} {value}" for name, value in (self.values | moments).items())
        return f"{self.rule}, got {got}; {self.next_step}"


class Contradiction(ValueError):
    """Settings that are each valid alone but not together; `problems` has every broken rule."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def of_run(settings: "RunSettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen run`."""
    for rules in (
        _workers,
        _ending,
        _pace,
        _shape,
        _pacer,
        _search,
        _places,
        _transactions,
        _encoding,
        _world,
        _figures,
        _groups,
        _far_end,
        _report,
    ):
        yield from rules(settings)


def _workers(s: "RunSettings") -> Iterator[Problem]:
    if s.shard.count > s.users:
        yield s.problem("each shard needs a listener", "shard users", "lower N of --shard or raise --users")
    elif s.workers * s.shard.count > min(s.users, 256):
        rule = f"workers x shards must be 1..{min(s.users, 256)} (no more than users, no more than 256)"
        names = "workers shard users" if s.shard.count > 1 else "workers users"
        yield s.problem(rule, names, "lower --workers" if s.users >= 256 else "lower --workers or raise --users")


def _ending(s: "RunSettings") -> Iterator[Problem]:
    for other in ("duration_min", "events", "end_ms"):
        if s.continuous and getattr(s, other) is not None:
            rule = "a continuous run has no end of its own"
            yield s.problem(rule, f"continuous {other}", "keep one of the two (--no-continuous overrides a file)")
    if s.end_ms is not None and s.end_ms <= s.start_ms:
        yield s.problem("end must be later than start", "start_ms end_ms", "give an earlier --start or a later --end")


def _pace(s: "RunSettings") -> Iterator[Problem]:
    instead = "leave it out, or use --duration in place of --end"
    if s.end_ms is not None and isinstance(s.rate, float):
        yield s.problem("a backfill is not paced", "end_ms rate", instead)
    if s.end_ms is not None and s.speed != 1:
        yield s.problem("a backfill is not paced", "end_ms speed", instead)
    elif s.rate != "natural" and s.speed != 1:
        yield s.problem("rate already sets how fast simulated time goes", "rate speed", "keep one of the two")


def _shape(s: "RunSettings") -> Iterator[Problem]:
    step = "add --rate, such as --rate 20k/s"
    is_paced = s.shape is not None or s.pacer is not None or any(crowd.is_paced for crowd in s.crowd)
    if s.preview and not is_paced and isinstance(s.rate, str):
        yield s.problem("a preview shows a rate", "preview rate shape", "add --rate 20k/s, or --shape")
    if s.shape is None:
        return
    if s.end_ms is not None:
        yield s.problem("a backfill is not paced", "end_ms shape", "leave --shape out, or use --duration")
    elif s.rate == "max" or (s.rate == "natural" and not (s.shape.is_absolute or s.find_max_rate)):
        yield s.problem("a shape needs a rate, of which it is a part", "shape rate", step)
    elif s.rate == "natural" and s.speed != 1:
        yield s.problem("a shape already sets how fast simulated time goes", "shape speed", "keep one of the two")


def _pacer(s: "RunSettings") -> Iterator[Problem]:
    if s.pacer is None:
        return
    for other, left_out in (("rate", "natural"), ("shape", None), ("speed", 1), ("end_ms", None), ("find_max_rate", 0)):
        if getattr(s, other) != left_out:
            yield s.problem("a pacer alone says when events are due", f"pacer {other}", "keep one of the two")


def _search(s: "RunSettings") -> Iterator[Problem]:
    if not s.find_max_rate:
        return
    for other in ("continuous", "events", "end_ms", "preview"):
        if getattr(s, other) not in (None, False):
            rule = "a trial of find-max-rate is paced and lasts --duration"
            yield s.problem(rule, f"find_max_rate {other}", "leave one of the two out")
    if s.rate == "max":
        yield s.problem("find-max-rate begins at a rate", "find_max_rate rate", "give a low one, such as --rate 1k/s")
    if s.speed != 1:
        yield s.problem("find-max-rate sets the rate", "find_max_rate speed", "leave out --speed")
    if s.shard.count > 1:
        yield s.problem("find-max-rate measures one machine", "find_max_rate shard", "leave out --shard")
    if s.output is not None:
        step = "use --folder, --brokers or --discard"
        yield s.problem("each trial of find-max-rate needs its own output", "find_max_rate output", step)


def _places(s: "RunSettings") -> Iterator[Problem]:
    for other in ("brokers", "output", "folder", "sink"):
        if s.discard and getattr(s, other) not in (None, ()):
            yield s.problem("discard writes nowhere", f"discard {other}", f"leave out --discard or --{other}")
    if s.compress != "none" and s.folder is None:
        step = "name the --output file .gz or .zst, set compression.type for Kafka, or add --folder"
        yield s.problem("compress is for the files in a folder", "compress folder", step)
    for name in ("key", "key_type", "header", "cloudevents"):
        if s.brokers is None and getattr(s, name) != type(s).model_fields[name].default:
            step = f"add --brokers HOST:PORT, or leave --{name.replace('_', '-')} out"
            yield s.problem("keys and headers are those of Kafka messages", f"{name} brokers", step)
    if s.topic_map is not None and s.brokers is None:
        step = "add --brokers HOST:PORT, or leave --topic-map out"
        yield s.problem("a topic map is of Kafka's topics", "topic_map brokers", step)
    if s.topic_map is not None and s.topic != type(s).model_fields["topic"].default:
        yield s.problem("a topic map names every topic", "topic_map topic", "keep one of the two")
    if s.create_topic and s.brokers is None:
        yield s.problem("create-topic needs a broker", "create_topic brokers", "add --brokers HOST:PORT")
    if s.json_summary and str(s.output) == "-":
        step = "write the events to a file, or leave out --json"
        yield s.problem("stdout can hold the events or the summary, not both", "json_summary output", step)


def _transactions(s: "RunSettings") -> Iterator[Problem]:
    if not s.transactional:
        for name in ("transaction_events", "abort_prob"):
            if getattr(s, name) != type(s).model_fields[name].default:
                rule = "only a transactional run has transactions"
                yield s.problem(rule, f"{name} transactional", "add --transactional")
        return
    if s.brokers is None:
        yield s.problem("transactions are Kafka's", "transactional brokers", "add --brokers HOST:PORT")
        return
    if s.brokers == "embedded":
        rule, step = "the test broker shows aborted events to every reader", "name a real one with --brokers HOST:PORT"
        yield s.problem(rule, "transactional brokers", step)
    for other in ("output", "folder", "sink"):
        if getattr(s, other) not in (None, ()):
            rule, step = "a transaction holds what goes to Kafka alone", f"leave out --{other}, or --transactional"
            yield s.problem(rule, f"transactional {other}", step)
    if s.wait_caught_up_s is not None:
        rule = "the end of a transaction takes an offset, past which many groups never commit"
        yield s.problem(rule, "transactional wait_caught_up_s", "leave out --wait-caught-up, or --transactional")
    if s.crowd:
        rule, step = "events in transactions are not counted by crowd", "leave out --transactional, or the crowds"
        yield s.problem(rule, "transactional crowd", step)
    if s.abort_prob and s.watch_topic is not None:
        rule, step = "aborted events never come out of the system under test", "leave out --abort, or --watch-topic"
        yield s.problem(rule, "abort_prob watch_topic", step)
    if s.timeless and s.on_worker_death == "restart":
        rule = "the successor of a worker must make its events again to know which were committed"
        step = "add --on-worker-death fail, or leave --timestamps out"
        yield s.problem(rule, "transactional timestamps on_worker_death", step)


def _encoding(s: "RunSettings") -> Iterator[Problem]:
    if s.key_type == "avro" and s.schema_registry is None:
        step = "add --schema-registry http://HOST:PORT, or leave --key-type out"
        yield s.problem("a key in Avro needs a schema registry", "key_type schema_registry", step)
    if s.encoding == "json":
        if s.schema_file is not None:
            step = "add --encoding avro, protobuf or jsonschema, whichever it is"
            yield s.problem("a schema needs an encoding that has one", "schema_file encoding", step)
        return
    if s.brokers is None:
        step = "add --brokers HOST:PORT, or leave --encoding out: files have JSON lines"
        yield s.problem("encoding is of the messages in Kafka", "encoding brokers", step)
    if s.schema_registry is None:
        step = "add --schema-registry http://HOST:PORT, or --encoding json"
        yield s.problem("an encoding with a schema needs a schema registry", "encoding schema_registry", step)
    if s.cloudevents == "structured":
        step = "use --cloudevents binary, or --encoding json"
        yield s.problem("a structured CloudEvent has its event as plain JSON", "encoding cloudevents", step)


def _world(s: "RunSettings") -> Iterator[Problem]:
    if s.catalog is not None and s.tracks != type(s).model_fields["tracks"].default:
        yield s.problem("an imported catalogue has its own tracks", "catalog tracks", "keep one of the two")


def _figures(s: "RunSettings") -> Iterator[Problem]:
    if s.unpaced and any(figure.name == "target" for threshold in s.threshold for figure in threshold.figures):
        step = "hold rate against a number, such as 'rate >= 10k/s', or pace the run: --rate 10k/s"
        names = f"threshold {'rate' if s.end_ms is None else 'end_ms'}"
        yield s.problem("a run that is not paced has no target", names, step)
    if s.duration_s is not None and s.warm_up_s >= s.duration_s:
        yield s.problem("the warm-up must be shorter than the run", "warm_up_s duration_min", "lower --warm-up")


def _groups(s: "RunSettings") -> Iterator[Problem]:
    if s.watch_group and s.brokers is None:
        yield s.problem("groups read a topic", "watch_group brokers", "add --brokers HOST:PORT")
    if s.watch_group and s.topic_map is not None:
        yield s.problem("groups are watched on one topic", "watch_group topic_map", "leave one of the two out")
    if s.wait_caught_up_s is not None and not s.watch_group and s.watch_topic is None:
        rule, step = "wait-caught-up waits for groups or a topic that is watched", "add --watch-group NAME"
        yield s.problem(rule, "wait_caught_up_s watch_group", step)
    figures = [figure for threshold in s.threshold for figure in threshold.figures]
    for unknown in sorted({figure.group for figure in figures if figure.group} - set(s.watch_group)):
        step = f"add --watch-group {unknown}"
        yield s.problem(f"a threshold names group {unknown}, which is not watched", "threshold watch_group", step)
    if any(figure.name == "catch_up" for figure in figures):
        if s.wait_caught_up_s is None:
            yield s.problem("catch_up is waited for", "threshold wait_caught_up_s", "add --wait-caught-up 2m")
        elif not s.watch_group:
            yield s.problem("catch_up is that of groups", "threshold watch_group", "add --watch-group NAME")
    if s.find_max_rate and s.watch_group:
        if s.wait_caught_up_s is None:
            rule = "each trial begins where the groups have caught up with the last one"
            yield s.problem(rule, "find_max_rate wait_caught_up_s", "add --wait-caught-up 5m")
        if not any(figure.group or figure.name == "catch_up" for figure in figures):
            step = f"add --threshold 'behind({s.watch_group[0]}) < 5s'"
            yield s.problem("what the groups must keep must be said", "find_max_rate threshold", step)


def _far_end(s: "RunSettings") -> Iterator[Problem]:
    if s.watch_topic is None:
        if s.watch_brokers is not None:
            rule = "watch-brokers says where the topic is that is watched"
            yield s.problem(rule, "watch_brokers watch_topic", "add --watch-topic NAME")
        if any(figure.of_far_end for threshold in s.threshold for figure in threshold.figures):
            rule = "a threshold is on what comes out of the system under test"
            yield s.problem(rule, "threshold watch_topic", "add --watch-topic NAME")
    elif s.brokers is None or s.embedded:
        rule, step = "what comes out of a system must come from a topic that it reads", "give --brokers HOST:PORT"
        yield s.problem(rule, "watch_topic brokers", step)


def _report(s: "RunSettings") -> Iterator[Problem]:
    for other in ("manifest", "output"):
        if s.report is not None and s.report == getattr(s, other):
            yield s.problem("each file has its own content", f"report {other}", "name another file: run.html")


def of_replay(s: "ReplaySettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen replay`."""
    for one_rule in (_replayed, _places, _figures, _groups, _far_end, _report):
        yield from one_rule(s)


def _replayed(s: "ReplaySettings") -> Iterator[Problem]:
    places = ("brokers", "output", "folder", "sink", "discard")
    if not any(getattr(s, name) for name in places):
        step = "add --brokers HOST:PORT --topic NAME, --output PATH, --folder DIR or --discard"
        yield s.problem("replay needs a place for the events", "brokers output folder", step)
    topics = [found for found in map(topic_place, s.sources) if found]
    if topics and len(s.sources) > 1:
        yield s.problem("a topic is the only source of its replay", "sources", "name one topic, or files")
    if (s.brokers, s.topic) in topics:
        yield s.problem("a replay must not read what it writes", "sources topic", "name another --topic")


def of_interval(since_ms: int | None, until_ms: int | None) -> Iterator[Problem]:
    """Every broken rule of an interval."""
    if since_ms is not None and until_ms is not None and until_ms <= since_ms:
        times = {"since_ms": since_ms, "until_ms": until_ms}
        yield Problem("until must be later than since", times, "give an earlier --since or a later --until")


def of_consume(s: "ConsumeSettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen consume`."""
    if s.continuous and s.until_idle_s is not None:
        step = "keep one of the two (--no-continuous overrides a file)"
        yield s.problem("what is continuous does not end when idle", "continuous until_idle_s", step)
    if not s.continuous and s.until_idle_s is None:
        step = "add --until-idle S, or leave out --no-continuous"
        yield s.problem("a consumer that is not continuous needs an end", "continuous until_idle_s", step)


def of_verify(s: "VerifySettings") -> Iterator[Problem]:
    """Every broken rule of `loadgen verify`."""
    one = "--brokers HOST:PORT --topic NAME, --store URL or --files PATH…"
    given = [name for name in ("brokers", "store", "files") if getattr(s, name)]
    if not given:
        yield s.problem("verify needs a place to compare with", "brokers store files", f"add {one}")
    elif s.through and not s.brokers:
        yield s.problem("--through reads a topic", f"through {given[0]}", "give --brokers HOST:PORT")
    elif len(given) > 1:
        yield s.problem("verify compares with one place", " ".join(given), f"name one on the command line: {one}")
