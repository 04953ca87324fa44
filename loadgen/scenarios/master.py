"""The master of a test with Locust, or the same role in a single process.

In: reports of the workers. Out: grants of shards, thresholds evaluated on the sum, at the end the ledger and the exit
code. A worker that falls silent is written off when its lease has expired; its shard goes to the next that asks.
"""

import logging
import signal
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment

from loadgen.config import RunSettings
from loadgen.errors import LoadgenError
from loadgen.kafka.check import create_topic
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.record import write
from loadgen.runner.prepare import new_run_id
from loadgen.runner.verdict import verdict_lines
from loadgen.scenarios.codec import unpacked
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.lease_table import LEASE_S, LeaseTable
from loadgen.scenarios.ledger import StressLedger
from loadgen.scenarios.settings import settings_of
from loadgen.signals import CALLED, exit_code, reason_of
from loadgen.simulate.behaviour import Behaviour

WATCH_S = 0.25
LAST_WORD_S = 15.0
"""Workers have this time beyond --drain-timeout for their last report."""
EXIT_FAILED = 1
FOLDER = Path("loadgen_runs")
log = logging.getLogger("loadgen")


class Master:
    """Grants shards and keeps the ledger of one test after another."""

    def __init__(self, environment: Environment, options: Namespace) -> None:
        """Check the options; create the topic, if the options say so.

        Raises:
            UsageError: with a line for each problem.
            SinkError: the topic cannot be created.
        """
        self._environment, self._options = environment, options
        self.settings: RunSettings = settings_of(options, EngineShard())
        self._pages = Behaviour.load(self.settings.behaviour).page_table.names
        self._next_tokens: list[int] = []
        self._ledger: StressLedger | None = None
        self._has_passed, self._is_ending = True, False
        self._signal: signal.Signals | None = None
        self._code = 0
        self._broker: EmbeddedBroker | None = None
        if self.settings.embedded:
            self._broker = EmbeddedBroker(*self.settings.topics)
            options.embedded_address = self._broker.address
            log.info(f"embedded broker on {self._broker.address}, for demonstrations; name a real one with --brokers")
        elif self.settings.create_topic:
            self._create_topic(self.settings)
            options.create_topic = False  # once, here, not by each worker

    def _create_topic(self, settings: RunSettings) -> None:
        options = options_of(settings.kafka_option, settings.kafka_config)
        is_default = "replication_factor" not in settings.model_fields_set
        for topic in settings.topics:
            kafka = KafkaSettings(settings.brokers or "", topic, options)
            create_topic(kafka, settings.partitions, settings.replication_factor, or_fewer=is_default)

    def start(self, n_workers: int) -> None:
        """Start a test with this number of workers."""
        self.settings = settings_of(self._options, EngineShard())
        n_shards = self._options.shards or max(1, n_workers)
        self._leases = LeaseTable(n_shards, self._next_tokens)
        self._ledger = StressLedger(self.settings, self._stop_test, self._pages)
        self._run_id = new_run_id()
        gevent.spawn(self._watch, self._ledger)

    def receive(self, worker: str, index: int, report: dict[str, Any]) -> dict[str, Any]:
        """Take a worker's report; returns the answer."""
        ledger = self._ledger
        if ledger is None:
            return {"shard": None, "lost": False}
        grant = self._leases.ask(worker, time.monotonic(), index)
        if grant.shard is not None:
            stats = ledger.open(worker, EngineShard(grant.shard, grant.of, grant.fencing_token))
            stats.allowed = max(stats.allowed, report["most"])
            if stats.end == "lost":
                stats.end = ""
                ledger.note(worker, "is back")
        if report["snapshot"] is not None and worker in ledger.by_worker:
            ledger.take(worker, unpacked(report["snapshot"], time.monotonic_ns()), report["age_s"], report["memory"])
        if report["leaves"]:
            self._leases.leave(worker)
            ledger.close(worker)
        times = {"sent_ns": report["sent_ns"], "lease_s": LEASE_S, "most": report["most"]}
        return {**times, "shard": grant.shard, "of": grant.of, "fencing_token": grant.fencing_token, "lost": grant.lost}

    def finish(self, drain: Callable[[list[str]], None]) -> None:
        """End the test: drain the workers, wait for their last reports, write the ledger. May be called twice."""
        ledger = self._ledger
        while self._is_ending:  # another greenlet is doing so
            gevent.sleep(WATCH_S)
        if ledger is None or ledger is not self._ledger:
            return
        self._is_ending = True
        try:
            self._end(ledger, drain)
        finally:
            self._ledger, self._is_ending = None, False

    def receive_signal(self, number: int) -> None:
        """Remember the first signal that ends Locust."""
        self._signal = self._signal or signal.Signals(number)

    def _note_how_it_ended(self, ledger: StressLedger, stopped_s: float) -> None:
        """Note in the ledger that a signal ended the test before its --run-time."""
        run_s = self._options.run_time
        if self._signal is not None and self._options.headless and run_s and stopped_s < run_s:
            ledger.reason = reason_of(self._signal, is_early=True)
            ledger.cut_short = f"stopped after {stopped_s:,.1f} s of {run_s:,.1f} s: {CALLED[self._signal]}"

    def _end(self, ledger: StressLedger, drain: Callable[[list[str]], None]) -> None:
        stopped_s = ledger.now_s()
        drain([stats.worker for stats in ledger.running()])
        deadline_s = time.monotonic() + self.settings.drain_timeout_s + LAST_WORD_S
        while ledger.running() and time.monotonic() < deadline_s:
            gevent.sleep(WATCH_S / 5)
        for stats in ledger.running():
            ledger.lose(stats.worker)
        self._next_tokens = self._leases.next_tokens()
        self._note_how_it_ended(ledger, stopped_s)
        ledger.end()
        self._report(ledger)

    def _report(self, ledger: StressLedger) -> None:
        """Write the ledger, log the result, remember whether the test has passed."""
        totals, verdict = ledger.evaluation.totals(), ledger.verdict()
        path = Path(self._options.ledger or FOLDER / f"{self._run_id}.locust.json")
        users, cohort = int(self._options.num_users or 0), int(self._options.cohort)
        self._has_passed = totals.perfect and verdict.kept and not ledger.failed and bool(totals.tallies)
        self._code = exit_code(verdict.exit_reason)
        try:
            write(path, ledger.record(str(path), users, cohort))
        except LoadgenError as error:
            log.error(str(error))
            self._has_passed = False
        counts = totals.primary_sink.counts()
        log.info(", ".join(f"{name} {number:,}" for name, number in counts.items()))
        for line in verdict_lines(totals, verdict):
            log.info(line)
        for happened in ledger.happened:
            log.info(f"at {happened.at_s:.1f} s {happened.worker} {happened.what}")
        log.info(f"ledger: {path}")

    def judge(self) -> None:
        """Set Locust's exit code if the test has failed or was cut short."""
        if not self._has_passed:
            self._environment.process_exit_code = EXIT_FAILED
        elif self._code:
            self._environment.process_exit_code = self._code

    def close(self) -> None:
        """Stop the embedded broker."""
        if self._broker is not None:
            self._broker.close()

    def _watch(self, ledger: StressLedger) -> None:
        """Evaluate thresholds, and write off workers that fall silent."""
        while self._ledger is ledger:
            ledger.evaluation.watch(ledger.evaluation.totals())
            for stats in ledger.running():
                if self._leases.is_silent(stats.worker, time.monotonic()):
                    ledger.lose(stats.worker)
            gevent.sleep(WATCH_S)

    def _stop_test(self) -> None:
        """End the test because of a threshold."""
        runner = self._environment.runner
        assert runner is not None
        log.error("a threshold is broken that ends the test")
        gevent.spawn(runner.quit if self._options.headless else runner.stop)
