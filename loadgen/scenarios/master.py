"""Where the accounts are kept: in the master of a distributed test, or in the only process of another.

In: reports of the stations. Out: grants of shards, thresholds held against the sum, and at the end the ledger and the
exit code. A station that falls silent is written off once its lease has run out; its shard goes to the next that asks.
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
from loadgen.runner.prepare import new_run_id
from loadgen.runner.verdict import verdict_lines
from loadgen.scenarios.codec import unpacked
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.lease_table import LEASE_S, LeaseTable
from loadgen.scenarios.ledger import StressLedger
from loadgen.scenarios.settings import settings_of
from loadgen.signals import CALLED, exit_code, reason_of
from loadgen.verifier.manifest import write_json

WATCH_S = 0.25
LAST_WORD_S = 15.0
"""Stations get so long, and --drain-timeout, to say their last word."""
EXIT_FAILED = 1
FOLDER = Path("loadgen_runs")
log = logging.getLogger("loadgen")


class Master:
    """Keeps the accounts of the tests of one process, one after another."""

    def __init__(self, environment: Environment, options: Namespace) -> None:
        """Check the options; make the topic, where that is asked for.

        Raises:
            UsageError: with a line for each problem.
            SinkError: the topic cannot be made.
        """
        self._environment, self._options = environment, options
        self.settings: RunSettings = settings_of(options, EngineShard())
        self._lives: list[int] = []
        self._accounts: StressLedger | None = None
        self._is_kept, self._is_ending = True, False
        self._signal: signal.Signals | None = None
        self._code = 0
        self._broker: EmbeddedBroker | None = None
        if self.settings.embedded:
            self._broker = EmbeddedBroker(self.settings.topic)
            options.embedded_address = self._broker.address
            log.info(f"embedded broker on {self._broker.address}, for demonstrations; name a real one with --brokers")
        elif self.settings.create_topic:
            self._create_topic(self.settings)
            options.create_topic = False  # once, before many workers would

    def _create_topic(self, settings: RunSettings) -> None:
        kafka = KafkaSettings(
            settings.brokers or "", settings.topic, options_of(settings.kafka_option, settings.kafka_config)
        )
        is_default = "replication_factor" not in settings.model_fields_set
        create_topic(kafka, settings.partitions, settings.replication_factor, or_fewer=is_default)

    def start(self, n_workers: int) -> None:
        """A test begins, with so many workers."""
        self.settings = settings_of(self._options, EngineShard())
        n_shards = self._options.shards or max(1, n_workers)
        self._roster = LeaseTable(n_shards, self._lives)
        self._accounts = StressLedger(self.settings, self._stop_test)
        self._run_id = new_run_id()
        gevent.spawn(self._watch, self._accounts)

    def hear(self, worker: str, index: int, report: dict[str, Any]) -> dict[str, Any]:
        """Take a report, and answer it."""
        accounts = self._accounts
        if accounts is None:
            return {"shard": None, "lost": False}
        grant = self._roster.ask(worker, time.monotonic(), index)
        if grant.shard is not None:
            account = accounts.open(worker, EngineShard(grant.shard, grant.of, grant.fencing_token))
            account.allowed = max(account.allowed, report["most"])
            if account.end == "lost":
                account.end = ""
                accounts.note(worker, "is back")
        if report["snapshot"] is not None and worker in accounts.by_worker:
            accounts.take(worker, unpacked(report["snapshot"], time.monotonic_ns()), report["age_s"], report["memory"])
        if report["leaves"]:
            self._roster.leave(worker)
            accounts.close(worker)
        times = {"sent_ns": report["sent_ns"], "lease_s": LEASE_S, "most": report["most"]}
        return {**times, "shard": grant.shard, "of": grant.of, "life": grant.fencing_token, "lost": grant.lost}

    def finish(self, drain: Callable[[list[str]], None]) -> None:
        """The test ends: have the stations drain, wait for their last words, write the ledger. May be called twice."""
        accounts = self._accounts
        while self._is_ending:  # somebody else sees to it
            gevent.sleep(WATCH_S)
        if accounts is None or accounts is not self._accounts:
            return
        self._is_ending = True
        try:
            self._end(accounts, drain)
        finally:
            self._accounts, self._is_ending = None, False

    def hear_signal(self, number: int) -> None:
        """Somebody wants Locust to end; the first signal counts."""
        self._signal = self._signal or signal.Signals(number)

    def _note_how_it_ended(self, accounts: StressLedger, stopped_s: float) -> None:
        """A test that was to last for --run-time, and was ended by a signal before, is cut short."""
        run_s = self._options.run_time
        if self._signal is not None and self._options.headless and run_s and stopped_s < run_s:
            accounts.reason = reason_of(self._signal, is_early=True)
            accounts.cut_short = f"stopped after {stopped_s:,.1f} s of {run_s:,.1f} s: {CALLED[self._signal]}"

    def _end(self, accounts: StressLedger, drain: Callable[[list[str]], None]) -> None:
        stopped_s = accounts.now_s()
        drain([account.worker for account in accounts.going_on()])
        deadline_s = time.monotonic() + self.settings.drain_timeout_s + LAST_WORD_S
        while accounts.going_on() and time.monotonic() < deadline_s:
            gevent.sleep(WATCH_S / 5)
        for account in accounts.going_on():
            accounts.lose(account.worker)
        self._lives = self._roster.lives()
        self._note_how_it_ended(accounts, stopped_s)
        accounts.end()
        self._report(accounts)

    def _report(self, accounts: StressLedger) -> None:
        """Write the ledger; say how it went; remember whether all was kept."""
        totals, verdict = accounts.totals(), accounts.verdict()
        path = Path(self._options.ledger or FOLDER / f"{self._run_id}.locust.json")
        users, cohort = int(self._options.num_users or 0), int(self._options.cohort)
        self._is_kept = totals.perfect and verdict.kept and not accounts.failed and bool(totals.tallies)
        self._code = exit_code(verdict.exit_reason)
        try:
            write_json(path, accounts.ledger(str(path), users, cohort))
        except LoadgenError as error:
            log.error(str(error))
            self._is_kept = False
        counts = totals.headline.counts()
        log.info(", ".join(f"{name} {number:,}" for name, number in counts.items()))
        for line in verdict_lines(totals, verdict):
            log.info(line)
        for happened in accounts.happened:
            log.info(f"at {happened['at_s']:.1f} s {happened['worker']} {happened['what']}")
        log.info(f"ledger: {path}")

    def judge(self) -> None:
        """Tell Locust the exit code, where something was not kept, or not run to its end."""
        if not self._is_kept:
            self._environment.process_exit_code = EXIT_FAILED
        elif self._code:
            self._environment.process_exit_code = self._code

    def close(self) -> None:
        """Stop the embedded broker."""
        if self._broker is not None:
            self._broker.close()

    def _watch(self, accounts: StressLedger) -> None:
        """See seconds end, and workers fall silent."""
        while self._accounts is accounts:
            accounts.watch()
            for account in accounts.going_on():
                if self._roster.is_silent(account.worker, time.monotonic()):
                    accounts.lose(account.worker)
            gevent.sleep(WATCH_S)

    def _stop_test(self) -> None:
        """A threshold that ends the test is broken."""
        runner = self._environment.runner
        assert runner is not None
        log.error("a threshold is broken that ends the test")
        gevent.spawn(runner.quit if self._options.headless else runner.stop)
