"""The parent of a pipeline: starts the parts, keeps them alive, ends them in the order in which the events go.

In: settings, the ground on which the parts stand. Out: an exit code. It touches no event of its own.
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
from loadgen.kafka.consumer_options import ends_of
from loadgen.kafka.embedded import AT_ONCE
from loadgen.kafka.watch import TopicWatch
from loadgen.pipeline import parts
from loadgen.pipeline.child import Child
from loadgen.pipeline.ending import DrainWaiter, end_orphans, end_part, verify
from loadgen.pipeline.figures import Figures, reserve_port
from loadgen.pipeline.manifests import Account, account_of, accounts_of
from loadgen.pipeline.prepare import PipelineContext
from loadgen.pipeline.screen import Screen
from loadgen.pipeline.supervisor import Part, State
from loadgen.signals import exit_code, listening, reason_of
from loadgen.terminal import say_json
from loadgen.verifier.compare import KINDS
from loadgen.verifier.report import VerifyReport

EXIT_FAILED = 1
TICK_S = 0.1
ASK_EVERY_S = 1.0
SHORT_S = 1.0
"""A producer that dies so shortly before its time is up is not started again."""
PRODUCER_PORT, CONSUMER_PORT = 9108, 9109
SHOW = 5
DASHBOARD_ENDS_S = 5.0


class Pipeline:
    """Three parts, from their start to their end."""

    def __init__(self, settings: PipelineSettings, ground: PipelineContext, screen: Screen) -> None:
        """Nothing is started yet."""
        self._settings, self._ground, self._screen = settings, ground, screen
        self._reserved = [reserve_port(PRODUCER_PORT), reserve_port(CONSUMER_PORT)]
        self._ports = [reserved.getsockname()[1] for reserved in self._reserved]
        given, options = settings.kafka_option, AT_ONCE if settings.embedded else {}
        self._environment = environment(os.environ, given)
        self._environment_of_consumers = environment(os.environ, KafkaOptions({**options, **given}))
        self._producer = Part("producer", self._begin_producer, self._is_produced, self._note)
        self._consumer = Part("consumer", self._begin_consumer, _never, self._note)
        self._dashboard = Part("dashboard", self._begin_dashboard, _never, self._note)
        self._watch = TopicWatch(ground.kafka, ground.source.topic_id)
        self._parts = (self._dashboard, self._consumer, self._producer)
        self._producers: list[Child] = []
        self._figures, self._asked_s, self._flow_file = Figures(), 0.0, ground.folder / "flow"
        self._signals: list[signal.Signals] = []
        self._problems: list[str] = []
        self._doing = ""
        self._began_s = time.monotonic()

    def run(self) -> int:
        """Run to the end; returns the exit code."""
        report = None
        with listening(self._on_signal):
            try:
                self._watch.start()
                reason = self._until_it_ends()
                report = self._end()
                self._say(report)
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
        """First time: the loop ends and drains. Second time: end at once. Then it does end."""
        self._signals.append(signal.Signals(number))
        if len(self._signals) == 2:
            raise KeyboardInterrupt

    # while it goes on

    def _until_it_ends(self) -> str:
        """Keep all parts alive until there is nothing more to produce, or somebody says so; returns why it ends."""
        while not self._signals:
            self._turn()
            if self._watch.error is not None:
                self._problem(str(self._watch.error))
                return "error"
            if any(part.state is State.GIVEN_UP for part in self._parts):
                return "error"
            if self._producer.state is State.ENDED:
                return "duration"
        self._note("stopping: storing what was sent; once more ends at once")
        return reason_of(self._signals[0], is_early=not self._settings.goes_on)

    def _turn(self) -> None:
        """See to the parts, tell the user, wait a moment."""
        now_s = time.monotonic()
        for part in self._parts:
            was = part.state
            part.turn(now_s)
            if part.state is State.GIVEN_UP is not was:
                self._problem(str(part.error))
        if now_s - self._asked_s >= ASK_EVERY_S:
            self._asked_s = now_s
            lives = [max(0, part.n_lives - 1) for part in (self._producer, self._consumer)]
            self._figures.ask((self._ports[0], lives[0]), (self._ports[1], lives[1]))
            self._tell_dashboard()
        self._screen.progress(self._figures, self._doing)
        time.sleep(TICK_S)

    def _tell_dashboard(self, is_over: bool = False) -> None:
        """Say how far it is; where that cannot be written, the page does not show it."""
        flow = self._figures.flow(parts.is_timed(self._settings), is_over)
        with suppress(OSError):
            flow.write(self._flow_file)

    def _note(self, message: str) -> None:
        self._screen.note(message)

    def _problem(self, message: str) -> None:
        self._problems.append(message)
        self._screen.end_line()
        self._screen.note(f"error: {message}")

    # the parts

    def _begin_producer(self, life: int) -> Child:
        manifest = self._manifest(life)
        words = parts.producer_words(
            self._settings, self._ground.kafka.brokers, life, self._left_s(), self._ports[0], manifest
        )
        child = self._child("producer", words)
        self._producers.append(child)
        return child

    def _begin_consumer(self, life: int) -> Child:
        """On the test broker each life has a group of its own: it need not wait until the one before is given up."""
        group = f"{self._ground.group}-{life}" if self._settings.embedded else self._ground.group
        words = parts.consumer_words(self._settings, self._ground.kafka.brokers, group, self._ports[1])
        return self._child("consumer", words)

    def _begin_dashboard(self, _life: int) -> Child:
        return self._child("dashboard", parts.dashboard_words(self._settings, self._flow_file))

    def _child(self, name: str, words: list[str]) -> Child:
        variables = self._environment_of_consumers if name == "consumer" else self._environment
        return Child(words, self._log(name), variables)

    def _manifest(self, life: int) -> Path:
        return self._ground.folder / f"producer-{life + 1}.json"

    def _accounts(self) -> list[Account]:
        return accounts_of(map(self._manifest, range(self._producer.n_lives)))

    def _left_s(self) -> float | None:
        """Seconds of events that are still to be made; None: until stopped."""
        if self._settings.duration_s is None:
            return None
        return self._settings.duration_s - sum(account.served_s for account in self._accounts())

    def _is_produced(self, _child: Child) -> bool:
        account, left_s = account_of(self._manifest(self._producer.n_lives - 1)), self._left_s()
        return (account is not None and account.is_over) or (left_s is not None and left_s < SHORT_S)

    # the end

    def _end(self) -> VerifyReport | None:
        """End the parts in their order, and hold what is stored against what was sent."""
        self._doing = "ending the producer"
        self._end_part(self._producer)
        end_orphans(self._producers, self._turn)
        if accounts := self._accounts():
            self._figures.sent.settle(sum(account.counts["delivered"] for account in accounts))
        if self._watch.error is None:  # else there is nothing left to store
            self._doing = "storing what was sent"
            self._store_the_rest()
        self._end_part(self._consumer)
        report = self._verified()
        if report is not None:
            self._figures.stored.settle(report.findings.n_found)
        self._tell_dashboard(is_over=True)
        return report

    def _end_part(self, part: Part) -> None:
        if not end_part(part, self._turn):
            said = self._log(part.name)
            self._problem(f"the {part.name} did not end in time, and was killed; all it said is in {said}")

    def _log(self, name: str) -> Path:
        return self._ground.folder / f"{name}.log"

    def _store_the_rest(self) -> None:
        try:
            ends = ends_of(self._ground.kafka, self._ground.n_partitions)
        except BrokerUnreachable as error:
            self._problem(str(error))
            return
        storing = DrainWaiter(self._ground, ends, self._settings.drain_timeout_s)
        if not storing.wait(self._consumer, self._turn):
            self._problem(
                f"not everything that was sent is stored in {self._ground.store.url}; what is missing stays in topic "
                f"{self._ground.kafka.topic} while that keeps it; the consumer's reasons are in {self._log('consumer')}"
            )

    def _verified(self) -> VerifyReport | None:
        accounts = self._accounts()
        for name in ("failed", "dropped"):
            if n_events := sum(account.counts[name] for account in accounts):
                self._problem(f"{n_events:,} planned events {name}; see {self._log('producer')}")
        if not accounts:
            self._problem(f"nothing was produced; all the producer said is in {self._log('producer')}")
            return None
        self._screen.end_line()
        try:
            return verify(self._ground, [account.path for account in accounts], SHOW, self._screen.checking)
        except LoadgenError as error:
            self._problem(f"what is stored cannot be verified: {error}")
            return None

    def _say(self, report: VerifyReport | None) -> None:
        self._screen.end_line()
        if report is not None:
            self._screen.result(report, self._ground)

    def _stay(self) -> None:
        """Serve the page until a signal."""
        self._note(f"the dashboard is still there, until Ctrl-C: {self._screen.url}")
        while not self._signals and self._dashboard.state is not State.GIVEN_UP:
            self._turn_dashboard()

    def _turn_dashboard(self) -> None:
        self._dashboard.turn(time.monotonic())
        time.sleep(TICK_S)

    def _kill_all(self) -> None:
        if self._dashboard.state is State.RUNNING:
            end_part(self._dashboard, self._turn_dashboard, DASHBOARD_ENDS_S)
        for part in self._parts:
            part.kill()
        for child in self._producers:
            child.kill()
        for reserved in self._reserved:
            reserved.close()
        self._screen.end_line()

    def _say_json(self, report: VerifyReport | None, reason: str) -> None:

        accounts = self._accounts()
        found = report.as_json() if report else {"verdict": None, "expected": None, "found": None}
        summary: dict[str, Any] = {
            **{name: found.get(name) for name in ("verdict", "expected", "found", *KINDS, "notes")},
            **{name: sum(account.counts[name] for account in accounts) for name in ("delivered", "failed", "dropped")},
            "restarts": {part.name: part.restarts for part in self._parts},
            "elapsed_s": round(time.monotonic() - self._began_s, 3),
            "exit_reason": reason,
            "errors": self._problems,
            "url": self._screen.url,
            "store": self._ground.store.url,
            "topic": self._ground.kafka.topic,
            "folder": str(self._ground.folder),
            "manifests": [str(account.path) for account in accounts],
        }
        say_json(summary)


def _never(_child: Child) -> bool:
    return False
