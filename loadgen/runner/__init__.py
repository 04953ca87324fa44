"""The main job: listeners split over worker processes, paced, offered to sinks, and accounted for.

`prepare` checks everything first and makes the `Plan`; `team` starts the processes of `worker`, each a `send_loop`; the
`coordinator` keeps time; `evaluation` adds up (`totals`), keeps the `history`, holds it against `thresholds`, finds
`stalls` and gives the `verdict`; `console`, `endpoint` and `manifest_writer` show it; `find_rate` makes many runs.
"""

import io
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loadgen.config import ReplaySettings, RunSettings
from loadgen.errors import OutputUnwritable, ReaderGone
from loadgen.signals import exit_code as exit_code_of_reason
from loadgen.terminal import say_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from loadgen.errors import LoadgenError
    from loadgen.kafka.group_lag import GroupWatch
    from loadgen.kafka.watch import TopicWatch
    from loadgen.metrics_endpoint import MetricCollector
    from loadgen.runner.console import RunConsole
    from loadgen.runner.coordinator import Result
    from loadgen.runner.far_end import FarEnd
    from loadgen.runner.messages import Plan
    from loadgen.runner.team import Team

EXIT_FAILED = 1


def main(settings: RunSettings) -> int:
    """Run to the end and say how it went.

    Args:
        settings: complete and valid.

    Returns:
        The exit code: 0 every promise kept, 1 not; stopped and drained cleanly: see `loadgen.signals`.

    Raises:
        LoadgenError: the run could not start.
    """
    if settings.preview:
        from loadgen.runner import preview

        return preview.main(settings)
    from loadgen.runner.forkserver import start_fork_server

    start_fork_server()  # it imports while we prepare
    if settings.find_max_rate:
        from loadgen.runner import find_rate

        return find_rate.main(settings, run_to_end)
    from loadgen.runner.console import RunConsole

    console = RunConsole(settings.duration_s, settings.events, settings.quiet)

    def show(collector: "MetricCollector") -> bool:
        from loadgen.metrics_endpoint import expose

        return expose(collector, settings.metrics_host, settings.metrics_port, console.note)

    ended = run_to_end(settings, console, show)
    for problem in ended.problems:
        console.note(str(problem) if isinstance(problem, ReaderGone) else f"error: {problem}")
    if settings.json_summary:
        error = ended.result.error
        say_json(ended.summary | {"error": None if error is None else str(error)})
    return EXIT_FAILED if ended.problems else exit_code(ended.result)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over.

    Attributes:
        result: how it went.
        path: of its manifest.
        summary: what --json prints, without an error.
        problems: what went wrong: in the run, or when its files were written.
    """

    result: "Result"
    path: "Path"
    summary: "dict[str, Any]"
    problems: "list[LoadgenError]"

    @property
    def kept(self) -> bool:
        """Whether every event was delivered on schedule and every threshold kept, and nothing went wrong."""
        return not self.problems and self.result.totals.perfect and self.result.verdict.kept


def run_to_end(
    settings: RunSettings,
    console: "RunConsole | None" = None,
    show: "Callable[[MetricCollector], bool]" = lambda collector: False,
) -> Ended:
    """One run, and its files.

    Args:
        settings: of this run.
        console: shows it to a person; None shows nothing.
        show: gives its metrics to Prometheus; returns whether it can.

    Raises:
        LoadgenError: the run could not start.
    """
    from loadgen.runner.console import RunConsole

    console = console or RunConsole(settings.duration_s, settings.events, True, io.StringIO())
    with ExitStack() as stack:
        result, plan, team = _run(settings, console, show, stack)
        return _finish(result, plan, team, console)


def _run(
    settings: RunSettings, console: "RunConsole", show: "Callable[[MetricCollector], bool]", stack: ExitStack
) -> "tuple[Result, Plan, Team]":
    from loadgen.runner.claims import check_apart, claim
    from loadgen.runner.coordinator import Coordinator
    from loadgen.runner.manifest_writer import ManifestWriter
    from loadgen.runner.prepare import check_files, prepare, setting_rows
    from loadgen.runner.team import Team
    from loadgen.sink.stream import OutputFile

    check_apart(settings)
    check_files(settings)
    address = None
    if settings.embedded:
        from loadgen.kafka.embedded import EmbeddedBroker

        broker = stack.enter_context(EmbeddedBroker(*settings.topics))
        address = broker.address
        console.note(
            f"embedded broker on {address}: keeps the last 5 MiB of each partition, for demonstrations and tests"
        )
    plan: Plan
    if isinstance(settings, ReplaySettings):
        from loadgen.runner.replay import prepare_replay, replay_rows

        console.endless = "until stopped" if settings.goes_on else "to its end"
        plan = prepare_replay(settings, console, address)
        rows = replay_rows(settings, plan)
    else:
        plan = prepare(settings, console, address)
        rows = setting_rows(settings, plan)
    claim(settings, plan.run_id, stack, console.note)
    console.settings(rows)
    output = OutputFile(str(settings.output)) if settings.output is not None else None  # a Path never equals "-"
    team = Team(plan)
    stack.callback(team.end)  # also where a signal comes before the coordinator listens
    groups = _group_watch(plan, stack)
    if groups is not None:
        console.groups = groups.latest
    far_end = _far_end(plan, stack)
    coordinator = Coordinator(plan, team, console, output, _topic_watches(plan, stack), groups, far_end)
    if settings.metrics_port:
        from loadgen.runner.endpoint import RunCollector, info_of

        pages = plan.pages
        lags, crowds = groups.latest if groups else dict, tuple(crowd.name for crowd in settings.crowd)
        collector = RunCollector(team, info_of(plan), pages, coordinator.broken, lags, crowds)
        if show(collector):
            coordinator.add_watcher(collector.watch)
    coordinator.add_watcher(ManifestWriter(plan, coordinator.so_far).watch)
    return coordinator.run(), plan, team


def _topic_watches(plan: "Plan", stack: ExitStack) -> "list[TopicWatch]":
    """Watch the topics during the run, where someone else could delete them."""
    if plan.kafka is None or plan.settings.embedded:
        return []
    from loadgen.kafka.watch import TopicWatch

    watches = [TopicWatch(replace(plan.kafka, topic=topic)) for topic in plan.settings.topics]
    for watch in watches:
        watch.start()
        stack.callback(watch.close)
    return watches


def _group_watch(plan: "Plan", stack: ExitStack) -> "GroupWatch | None":
    """Watches the consumer groups that the settings name; None where they name none."""
    if plan.kafka is None or not plan.settings.watch_group:
        return None
    from loadgen.kafka.group_lag import GroupWatch

    watch = GroupWatch(plan.kafka, plan.settings.watch_group)
    watch.start()
    stack.callback(watch.close)
    return watch


def _far_end(plan: "Plan", stack: ExitStack) -> "FarEnd | None":
    """Watches what comes out of the system under test; None where the settings name no topic for it."""
    settings = plan.settings
    if plan.kafka is None or settings.watch_topic is None:
        return None
    from loadgen.kafka.event_ids import run_tag
    from loadgen.kafka.far_end import Watched
    from loadgen.runner.far_end import FarEnd

    brokers = settings.watch_brokers or plan.kafka.brokers
    kafka = replace(plan.kafka, brokers=brokers, topic=settings.watch_topic, reading=True)
    far_end = FarEnd(Watched(kafka, run_tag(plan.run_id), settings.watch_late_s))
    far_end.start()
    stack.callback(far_end.close)
    return far_end


def _finish(result: "Result", plan: "Plan", team: "Team", console: "RunConsole") -> Ended:
    """Write the manifest, show the closing table."""
    from loadgen.config.thresholds import END_TO_END
    from loadgen.record import write
    from loadgen.report import write_page
    from loadgen.runner.history import LATENCIES
    from loadgen.runner.manifest_writer import ManifestWriter
    from loadgen.runner.percentile_log import write_percentile_logs

    path, problems = plan.settings.manifest_path(plan.run_id), [result.error] if result.error else []
    record = ManifestWriter(plan, lambda: result).final()
    try:
        write(path, record)
        team.remove_progress()
    except OutputUnwritable as error:  # the figures of a long run are shown all the same
        problems.append(error)
    if plan.settings.percentile_log is not None:
        names = [name for name in LATENCIES if name != END_TO_END or plan.settings.watch_topic is not None]
        latencies = {name: getattr(result.verdict.measured, name) for name in names}
        try:
            write_percentile_logs(plan.settings.percentile_log, latencies)
        except OutputUnwritable as error:
            problems.append(error)
    console.closing(result.totals, result.verdict, str(path))
    if plan.settings.report is not None:
        try:
            write_page(plan.settings.report, [record])
            console.note(f"report: {plan.settings.report}")
        except OutputUnwritable as error:
            problems.append(error)
    return Ended(result, path, record.summary.model_dump() | {"manifest": str(path)}, problems)


def exit_code(result: "Result") -> int:
    """1 unless every event was delivered on schedule and every threshold kept; then that of a signal, or 0."""
    if result.error is not None or not (result.totals.perfect and result.verdict.kept):
        return EXIT_FAILED
    return exit_code_of_reason(result.verdict.exit_reason)
