"""The parent of a pipeline: starts its three parts, restarts them, and ends them in the order in which events flow.

In: settings, a checked context. Out: an exit code. The parts are `loadgen` commands; a Kafka option, which may be a
password, reaches them through the environment and never stands on a command line.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from loadgen.config import KafkaOptions, PipelineSettings
from loadgen.config.layers import environment
from loadgen.errors import BrokerUnreachable, LoadgenError
from loadgen.kafka.embedded import AT_ONCE
from loadgen.kafka.topic_reader import end_offsets
from loadgen.kafka.watch import TopicWatch
from loadgen.pipeline.child import Child, PartState, PipelinePart
from loadgen.pipeline.console import PipelineConsole, PipelineMetrics, reserve_port
from loadgen.pipeline.ending import drained, end_orphans, end_part, verify
from loadgen.pipeline.prepare import PipelineContext
from loadgen.record import RunRecord, read
from loadgen.signals import exit_code, listening, reason_of
from loadgen.terminal import say_json
from loadgen.verifier.compare import KINDS
from loadgen.verifier.report import VerifyReport

FORMAT = "full"
"""The format that fills every panel of the dashboard."""


def is_timed(settings: PipelineSettings) -> bool:
    """Whether an event's time is the wall-clock time at which it is due, so that its latency is known.

    Any rate but the natural one compresses simulated time; on the wall clock tracks would be too short.
    """
    return settings.rate == "natural"


def producer_words(
    settings: PipelineSettings, brokers: str, incarnation: int, left_s: float | None, metrics_port: int, manifest: Path
) -> list[str]:
    """The command line of a producer.

    Args:
        incarnation: counts from 0; each has another seed, so that no event is repeated.
        left_s: seconds of events that are left; None: until stopped.
    """
    ends = ["--continuous"] if left_s is None else ["--duration", f"{left_s:.3f}s"]
    rate = settings.rate if isinstance(settings.rate, str) else f"{settings.rate!r}/s"
    times = "wall" if is_timed(settings) else "simulated"
    return [
        *("run", "--format", FORMAT, "--users", str(settings.users), "--workers", str(settings.workers)),
        *("--seed", str((settings.seed + incarnation) % 2**64), "--rate", rate, "--tracks", str(settings.tracks)),
        *(*ends, "--timestamps", times, "--encoding", settings.encoding),
        *_kafka_words(settings, brokers, metrics_port),
        *("--manifest", str(manifest), "--quiet"),
    ]


def consumer_words(settings: PipelineSettings, brokers: str, group: str, metrics_port: int) -> list[str]:
    """The command line of a consumer in this group."""
    rotation = ("--rotate-interval", f"{settings.rotate_interval_s}s")
    where = ("--group", group, "--store", settings.store)
    return ["consume", *_kafka_words(settings, brokers, metrics_port), *where, *rotation]


def dashboard_words(settings: PipelineSettings, flow: Path) -> list[str]:
    """The command line of a dashboard; `flow` is the file with the progress of the pipeline."""
    where = ("--port", str(settings.port), "--host", settings.host)
    return ["dashboard", "--store", settings.store, "--flow", str(flow), *where]


def _kafka_words(settings: PipelineSettings, brokers: str, metrics_port: int) -> list[str]:
    words = ["--brokers", brokers, "--topic", settings.topic, "--metrics-port", str(metrics_port)]
    files = {"kafka-config": settings.kafka_config, "registry-config": settings.registry_config}
    given = {"schema-registry": settings.schema_registry, **files}
    return [*words, *(word for name, value in given.items() if value for word in (f"--{name}", str(value)))]


EXIT_FAILED = 1
TICK_S = 0.1
SCRAPE_EVERY_S = 1.0
SHORT_S = 1.0
"""A producer with less time left than this is not restarted."""
PRODUCER_PORT, CONSUMER_PORT = 9108, 9109
SHOW = 5
DASHBOARD_ENDS_S = 5.0


class Pipeline:
    """Runs the three parts."""

    def __init__(self, settings: PipelineSettings, context: PipelineContext, console: PipelineConsole) -> None:
        self._settings, self._context, self._console = settings, context, console
        self._reserved = [reserve_port(PRODUCER_PORT), reserve_port(CONSUMER_PORT)]
        self._producer = PipelinePart("producer", self._begin_producer, self._is_produced, self._console.note)
        self._consumer = PipelinePart("consumer", self._begin_consumer, lambda _: False, self._console.note)
        self._dashboard = PipelinePart("dashboard", self._begin_dashboard, lambda _: False, self._console.note)
        self._watch = TopicWatch(context.kafka, context.source.topic_id)
        self._producers: list[Child] = []
        self._metrics, self._scraped_s = PipelineMetrics(is_alone=not context.is_shared), 0.0
        self._signals: list[signal.Signals] = []
        self._problems: list[str] = []
        self._doing = ""
        self._began_s = time.monotonic()

    @property
    def _parts(self) -> tuple[PipelinePart, ...]:
        return self._dashboard, self._consumer, self._producer

    @property
    def _ports(self) -> list[int]:
        """The metrics ports of producer and consumer."""
        return [reserved.getsockname()[1] for reserved in self._reserved]

    @property
    def _flow_file(self) -> Path:
        return self._context.folder / "flow"

    def run(self) -> int:
        """Run to the end; returns the exit code."""
        report = None
        with listening(self._on_signal):
            try:
                self._watch.start()
                reason = self._until_it_ends()
                report = self._end()
                self._console.end_line()
                if report is not None:
                    self._console.result(report, self._context)
                if reason == "duration" and self._settings.stay and not self._signals:
                    self._stay()
            except KeyboardInterrupt:
                reason = "interrupted twice"
                self._problem("ended at once: what is not stored stays in the topic; one Ctrl-C would have waited")
            finally:
                self._watch.close()
                self._kill_all()
        if self._settings.json_summary:
            self._say_json(report, reason)
        if self._problems or report is None or not report.findings.is_proved:
            return EXIT_FAILED
        return exit_code(reason)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First signal: stop and drain. Second: end at once. Later ones change nothing."""
        self._signals.append(signal.Signals(number))
        if len(self._signals) == 2:
            raise KeyboardInterrupt

    # running

    def _until_it_ends(self) -> str:
        """Keep all parts running until everything is produced, a signal or an error; returns the reason."""
        while not self._signals:
            self._turn()
            if self._watch.error is not None:
                self._problem(str(self._watch.error))
                return "error"
            if any(part.state is PartState.GIVEN_UP for part in self._parts):
                return "error"
            if self._producer.state is PartState.ENDED:
                return "duration"
        self._console.note("stopping: storing what was sent; once more ends at once")
        return reason_of(self._signals[0], is_early=not self._settings.goes_on)

    def _turn(self) -> None:
        """Restart parts that are due, publish the progress, wait a moment."""
        now_s = time.monotonic()
        for part in self._parts:
            before = part.state
            part.turn(now_s)
            if part.state is PartState.GIVEN_UP is not before:
                self._problem(str(part.error))
        if now_s - self._scraped_s >= SCRAPE_EVERY_S:
            self._scraped_s = now_s
            incarnations = [max(0, part.n_incarnations - 1) for part in (self._producer, self._consumer)]
            self._metrics.scrape((self._ports[0], incarnations[0]), (self._ports[1], incarnations[1]))
            self._write_flow()
        self._console.progress(self._metrics, self._doing)
        time.sleep(TICK_S)

    def _write_flow(self, is_over: bool = False) -> None:
        """Write the progress for the page, which does without it if it cannot be written."""
        flow = self._metrics.flow(is_timed(self._settings), is_over)
        with suppress(OSError):
            flow.write(self._flow_file)

    def _problem(self, message: str) -> None:
        self._problems.append(message)
        self._console.end_line()
        self._console.note(f"error: {message}")

    # the parts

    def _begin_producer(self, incarnation: int) -> Child:
        manifest = self._manifest_path(incarnation)
        brokers, left_s = self._context.kafka.brokers, self._left_s()
        words = producer_words(self._settings, brokers, incarnation, left_s, self._ports[0], manifest)
        self._producers.append(self._child("producer", words))
        return self._producers[-1]

    def _begin_consumer(self, incarnation: int) -> Child:
        """On the test broker each incarnation has its own group, so that it need not wait for the old one to expire."""
        group = f"{self._context.group}-{incarnation}" if self._settings.embedded else self._context.group
        words = consumer_words(self._settings, self._context.kafka.brokers, group, self._ports[1])
        return self._child("consumer", words)

    def _begin_dashboard(self, _incarnation: int) -> Child:
        return self._child("dashboard", dashboard_words(self._settings, self._flow_file))

    def _child(self, name: str, words: list[str]) -> Child:
        options = self._settings.kafka_option
        if name == "consumer" and self._settings.embedded:
            options = KafkaOptions({**AT_ONCE, **options})
        return Child(words, self._log(name), environment(os.environ, options, self._settings.registry_option))

    def _manifest_path(self, incarnation: int) -> Path:
        return self._context.folder / f"producer-{incarnation + 1}.json"

    def _records(self) -> list[RunRecord]:
        """Of the producers whose run began."""
        paths = map(self._manifest_path, range(self._producer.n_incarnations))
        return [read(path) for path in paths if path.exists()]

    def _left_s(self) -> float | None:
        """Seconds of events that are left; None: until stopped."""
        if self._settings.duration_s is None:
            return None
        return self._settings.duration_s - sum(record.summary.elapsed_s for record in self._records())

    def _is_produced(self, _child: Child) -> bool:
        path, left_s = self._manifest_path(self._producer.n_incarnations - 1), self._left_s()
        return (path.exists() and read(path).is_complete) or (left_s is not None and left_s < SHORT_S)

    # the end

    def _end(self) -> VerifyReport | None:
        """End the parts in order, and compare what is stored with what was sent."""
        self._doing = "ending the producer"
        self._end_part(self._producer)
        end_orphans(self._producers, self._turn)
        if records := self._records():
            self._metrics.sent.settle(sum(record.summary.delivered for record in records))
        if self._watch.error is None:  # else there is nothing left to store
            self._doing = "storing what was sent"
            self._store_the_rest()
        self._end_part(self._consumer)
        report = self._verified()
        if report is not None:
            self._metrics.stored.settle(report.findings.n_found)
        self._write_flow(is_over=True)
        return report

    def _end_part(self, part: PipelinePart) -> None:
        if not end_part(part, self._turn):
            log = self._log(part.name)
            self._problem(f"the {part.name} did not end in time, and was killed; all it said is in {log}")

    def _log(self, name: str) -> Path:
        return self._context.folder / f"{name}.log"

    def _store_the_rest(self) -> None:
        try:
            ends = end_offsets(self._context.kafka, self._context.n_partitions)
        except BrokerUnreachable as error:
            self._problem(str(error))
            return
        if not drained(self._context, ends, self._settings.drain_timeout_s, self._consumer, self._turn):
            self._problem(
                f"not everything that was sent is stored in {self._context.store.url}; what is missing stays in topic "
                f"{self._context.kafka.topic} while that keeps it; "
                f"the consumer's reasons are in {self._log('consumer')}"
            )

    def _verified(self) -> VerifyReport | None:
        records = self._records()
        for name in ("failed", "dropped"):
            if n_events := sum(getattr(record.summary, name) for record in records):
                self._problem(f"{n_events:,} planned events {name}; see {self._log('producer')}")
        if not records:
            self._problem(f"nothing was produced; all the producer said is in {self._log('producer')}")
            return None
        self._console.end_line()
        try:
            return verify(self._context, [Path(record.path) for record in records], SHOW, self._console.verifying)
        except LoadgenError as error:
            self._problem(f"what is stored cannot be verified: {error}")
            return None

    def _stay(self) -> None:
        self._console.note(f"the dashboard is still there, until Ctrl-C: {self._console.url}")
        while not self._signals and self._dashboard.state is not PartState.GIVEN_UP:
            self._turn_dashboard()

    def _turn_dashboard(self) -> None:
        self._dashboard.turn(time.monotonic())
        time.sleep(TICK_S)

    def _kill_all(self) -> None:
        if self._dashboard.state is PartState.RUNNING:
            end_part(self._dashboard, self._turn_dashboard, DASHBOARD_ENDS_S)
        for part in self._parts:
            part.kill()
        for child in self._producers:
            child.kill()
        for reserved in self._reserved:
            reserved.close()
        self._console.end_line()

    def _say_json(self, report: VerifyReport | None, reason: str) -> None:
        records = self._records()
        found = report.as_json() if report else {"verdict": None, "expected": None, "found": None}
        outcomes = ("delivered", "failed", "dropped")
        summary: dict[str, Any] = {
            **{name: found.get(name) for name in ("verdict", "expected", "found", *KINDS, "notes")},
            **{name: sum(getattr(record.summary, name) for record in records) for name in outcomes},
            "restarts": {part.name: part.restarts for part in self._parts},
            "elapsed_s": round(time.monotonic() - self._began_s, 3),
            "exit_reason": reason,
            "errors": self._problems,
            "url": self._console.url,
            "store": self._context.store.url,
            "topic": self._context.kafka.topic,
            "folder": str(self._context.folder),
            "manifests": [record.path for record in records],
        }
        say_json(summary)
