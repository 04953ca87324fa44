"""The part of a Locust process that has users, next to the engine that simulates them.

In: users that come and go, grants of the master, "drain". Out: the engine's target, reports to the master, Locust's
table. The engine has its own native thread: it waits for Kafka without blocking gevent, and greenlets do not block it.
The two share only a few attributes that one writes and the other reads. At `--rate max` on two busy cores this is as
fast as an engine in a greenlet, and gevent is late by 0.6 ms (median) and 57 ms (p99), instead of by more than 100 ms
at every turn.
"""

import logging
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool
from locust.env import Environment

from loadgen.errors import LoadgenError, WorkerFailed, described
from loadgen.ledger import Tally
from loadgen.runner.console import RunConsole
from loadgen.runner.messages import Snapshot, empty_snapshot
from loadgen.runner.prepare import prepare
from loadgen.scenarios.codec import packed
from loadgen.scenarios.engine import Engine, EngineShard
from loadgen.scenarios.lease_table import Lease, ended
from loadgen.scenarios.memory import own_bytes
from loadgen.scenarios.settings import settings_of
from loadgen.scenarios.table import add_to, between
from loadgen.simulate.dynamic_population import TASTES
from loadgen.simulate.schedule import NS_PER_S

REPORT_S = 0.5
WAIT_S = 0.02
GRACE_S = 10.0
"""Added to the deadline of a stopping engine, because it may still be under construction."""
LEAST_ALLOWANCE = 50_000
ALLOWANCE_S = 10.0
"""A worker requests permission to plan the events of this time at its rate, at least LEAST_ALLOWANCE."""
Answer = dict[str, Any]
Send = Callable[[dict[str, Any]], None]
log = logging.getLogger("loadgen")


class LocustWorker:
    """The users of one process, and their engine.

    Attributes:
        users: the number of users by taste.
    """

    def __init__(self, environment: Environment, send: Send, is_alone: bool) -> None:
        """Begin without users.

        Args:
            environment: Locust's.
            send: sends a report to the master; the answer comes to `receive`.
            is_alone: whether there is no other process, so that no lease is needed.
        """
        self.users = [0] * len(TASTES)
        self._environment, self._send, self._is_alone = environment, send, is_alone
        self._pool = ThreadPool(1)
        self._reset()

    def _reset(self) -> None:
        self._engine: Engine | None = None
        self._shard: EngineShard | None = None
        self._lease = Lease() if self._is_alone else ended()
        self._failure: Snapshot | None = None
        self._counted = Tally()
        self._rate = (0, 0)
        self._stopping = self._is_done = self._is_short = False
        self._lost = False

    def start(self) -> None:
        """Start a test: request a shard."""
        self._reset()
        gevent.spawn(self._report_periodically)

    def add_user(self, taste: int) -> None:
        """Add a user of a taste."""
        self.users[taste] += 1
        self._set_wanted()

    def remove_user(self, taste: int) -> None:
        """Remove a user of a taste."""
        self.users[taste] -= 1
        self._set_wanted()

    def receive(self, answer: Answer) -> None:
        """Take the answer to a report."""
        if answer["lost"] and not self._lost:
            self._lost = True
            log.error(
                "this worker was cut off for longer than its lease: another has its shard, and this one sends no more"
            )
            gevent.spawn(self.drain)
        if answer["shard"] is None:
            return
        self._lease.renew(answer["sent_ns"] + int(answer["lease_s"] * NS_PER_S), answer["most"])
        if self._shard is None and not self._stopping:
            self._shard = EngineShard(answer["shard"], answer["of"], answer["fencing_token"])
            self._pool.spawn(self._work, self._options(), self._shard)

    def drain(self) -> None:
        """Stop the engine, wait for its end, send the last report. May be called twice."""
        self._stopping = True
        if self._engine is not None:
            self._engine.stopping = True
        wait_s = GRACE_S + float(getattr(self._options(), "drain_timeout_s", None) or 30.0)
        deadline_s = time.monotonic() + wait_s
        while self._shard is not None and not self._ended() and time.monotonic() < deadline_s:
            gevent.sleep(WAIT_S)
        if not self._is_done:
            self._is_done = True
            self._report()

    def _options(self) -> Namespace:
        options: Namespace | None = self._environment.parsed_options
        assert options is not None
        return options

    def _ended(self) -> bool:
        latest = self._latest()
        return latest is not None and latest.done

    def _latest(self) -> Snapshot | None:
        return self._failure or (self._engine.latest if self._engine is not None else None)

    def _work(self, options: Namespace, shard: EngineShard) -> None:
        """Build and run the engine, in the native thread."""
        try:
            settings = settings_of(options, shard)
            plan = prepare(settings, RunConsole(None, None, quiet=True), getattr(options, "embedded_address", None))
            engine = Engine(plan, shard, self._lease)
        except Exception as error:  # any kind: an error in this thread is not seen otherwise
            said = error if isinstance(error, LoadgenError) else WorkerFailed(f"no engine: {described(error)}")
            failure = empty_snapshot()
            failure.done, failure.error, failure.error_kind = True, str(said), type(said).__name__
            self._failure = failure
            return
        engine.stopping = self._stopping
        self._engine = engine
        self._set_wanted()
        engine.run()

    def _set_wanted(self) -> None:
        """Set the engine's target of listeners online."""
        engine = self._engine
        if engine is not None:
            cohort = self._options().cohort
            engine.source.wanted = tuple(n_users * cohort for n_users in self.users)

    def _report_periodically(self) -> None:
        while not self._is_done:
            self._report()
            gevent.sleep(REPORT_S)

    def _report(self) -> None:
        """Update Locust's table, and send a report."""
        latest = self._latest()
        sent_ns, n_planned = time.monotonic_ns(), 0
        content: dict[str, Any] = {"sent_ns": sent_ns, "snapshot": None, "age_s": 0.0}
        if latest is not None:
            self._fill(latest)
            n_planned = sum(tally.planned for tally in latest.tallies.values())
            content["snapshot"] = packed(latest)
            content["age_s"] = (latest.at_ns - self._engine.t0_ns) / NS_PER_S if self._engine is not None else 0.0
        content["most"] = n_planned + self._allowance(n_planned, sent_ns)
        content["leaves"] = self._is_done
        content["memory"] = own_bytes()
        self._send(content)
        self._warn_if_short()

    def _allowance(self, n_planned: int, now_ns: int) -> int:
        n_before, before_ns = self._rate
        self._rate = (n_planned, now_ns)
        elapsed_s = max((now_ns - before_ns) / NS_PER_S, WAIT_S)
        return (
            max(LEAST_ALLOWANCE, int((n_planned - n_before) / elapsed_s * ALLOWANCE_S))
            if before_ns
            else LEAST_ALLOWANCE
        )

    def _fill(self, latest: Snapshot) -> None:
        tally = next(iter(latest.tallies.values()), None)
        if tally is not None:
            topic = self._options().topic or "music-streaming-events"
            add_to(self._environment.stats, topic, between(tally, self._counted, latest.error))
            self._counted = tally

    def _warn_if_short(self) -> None:
        engine = self._engine
        if engine is None or self._is_short:
            return
        for taste, wanted, most in zip(TASTES, engine.source.wanted, engine.source.population.most, strict=True):
            if wanted > most:
                self._is_short = True
                log.warning(f"{wanted:,} {taste} listeners are asked for, this shard has {most:,}; raise --listeners")
