"""Listeners of a music service as Locust users: `locust -f loadgen/scenarios/locustfile.py --brokers localhost:9092`.

A user is one listener that is online (or --cohort of them): 2,000 users are what `loadgen run --users 2000` simulates.
Users only represent listeners; one engine in each process simulates all of its users, with one producer. There are
three user classes, by taste, weighted as in the population unless Locust's own options change that:

    locust -f … MainstreamListener                                            only that class; or --tags mainstream
    locust -f … --config-users '{"user_class_name": "IndieListener", "weight": 90}'

With --master and --worker, or --processes, each worker has the listeners of one shard.
"""

import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

import gevent
from flask import Response, jsonify, request
from locust import User, constant, events, tag, task
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import STATE_INIT, MasterRunner, WorkerRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from loadgen.errors import LoadgenError
from loadgen.hosts import hosts_for, is_own_origin, without_port
from loadgen.scenarios.master import Master
from loadgen.scenarios.settings import add_options, wrong_in_form
from loadgen.scenarios.shapes import shape_class
from loadgen.scenarios.worker import LocustWorker
from loadgen.signals import let_go_of_the_terminal
from loadgen.simulate.dynamic_population import TASTES

AN_HOUR_S = 3600
PAGE_HOST = "127.0.0.1"
REPORT, ANSWER, DRAIN = "loadgen_report", "loadgen_answer", "loadgen_drain"
EXIT_USAGE = 2
log = logging.getLogger("loadgen")
_workers: dict[Environment, LocustWorker] = {}


class Listener(User):
    """One listener online, or --cohort of them, simulated by the engine of the process."""

    abstract = True
    taste: ClassVar[str]
    wait_time = constant(AN_HOUR_S)

    def on_start(self) -> None:
        """Come online."""
        while self.environment not in _workers:  # Locust may give users to a late worker before it is ready
            gevent.sleep(0.05)
        _workers[self.environment].add_user(TASTES.index(self.taste))

    def on_stop(self) -> None:
        """Go offline."""
        _workers[self.environment].remove_user(TASTES.index(self.taste))


class MainstreamListener(Listener):
    """Listens to the charts."""

    taste, weight = "mainstream", 44

    @tag("mainstream")
    @task
    def listen(self) -> None:
        """Do nothing: the engine simulates the listener."""


class IndieListener(Listener):
    """Listens to music that few know."""

    taste, weight = "indie", 18

    @tag("indie")
    @task
    def listen(self) -> None:
        """Do nothing: the engine simulates the listener."""


class MixedListener(Listener):
    """Listens to both."""

    taste, weight = "mixed", 38

    @tag("mixed")
    @task
    def listen(self) -> None:
        """Do nothing: the engine simulates the listener."""


def _options(environment: Environment) -> Namespace:
    options: Namespace | None = environment.parsed_options
    assert options is not None
    return options


def _on_parser(parser: ArgumentParser) -> None:
    add_options(parser)
    parser.set_defaults(web_host=PAGE_HOST)  # Locust's own default is every interface


def _guard_page(environment: Environment) -> None:
    """Refuse requests of other sites to Locust's page; warn if other machines can reach it."""
    page = environment.web_ui
    if page is None or page.app is None:
        return
    hosts = hosts_for(page.host) if page.host else None
    if hosts is None:
        log.warning("Locust's page can be reached from other machines, without a login: anyone there can start load")

    def refuse_others() -> tuple[str, int] | Response | None:
        if hosts is not None and without_port(request.host) not in hosts:
            return "this page answers on this machine only: open it as http://127.0.0.1, or give --web-host", 421
        if request.method not in ("GET", "HEAD", "OPTIONS") and not is_own_origin(
            request.headers.get("Origin"), request.headers.get("Host")
        ):
            return "only Locust's own page may do that, not one from elsewhere", 403
        if request.method == "POST" and request.path.endswith("/swarm"):
            wrong = wrong_in_form(_options(environment), request.form)
            return jsonify(success=False, message=wrong, host=environment.host) if wrong else None
        return None

    page.app.before_request(refuse_others)


def _on_init(environment: Environment, **_more: Any) -> None:
    """Set up the role of this process: worker, master, or both in one."""
    gevent.get_hub().loop.update_now()  # --run-time counts from gevent's last update, before the imports
    _keep_tagged(environment)
    _guard_page(environment)
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        _be_worker(environment, runner)
        return
    options = _options(environment)
    try:
        master = Master(environment, options)
    except LoadgenError as error:
        log.error(str(error))
        sys.exit(EXIT_USAGE)
    if options.shape:
        environment.shape_class = shape_class(options.shape)
        environment.shape_class.runner = runner
    if isinstance(runner, MasterRunner):
        _be_master(environment, runner, master)
    else:
        _be_alone(environment, master)


def _keep_tagged(environment: Environment) -> None:
    """Remove user classes without a task after --tags and --exclude-tags: Locust would start them and fail."""
    options = _options(environment)
    wanted, unwanted = set(options.tags or TASTES), set(options.exclude_tags or ())
    kept = [user for user in environment.user_classes if getattr(user, "taste", None) in wanted - unwanted]
    others = [user for user in environment.user_classes if not hasattr(user, "taste")]
    environment.user_classes[:] = [*kept, *others] or environment.user_classes


def _be_worker(environment: Environment, runner: WorkerRunner) -> None:
    def send(report: dict[str, Any]) -> None:
        try:
            runner.send_message(REPORT, report)
        except RPCError as error:  # Locust connects again; until then no lease is renewed
            log.error(f"cannot reach the master: {error}")

    def quit_in_order() -> None:
        """Send the last requests, which Locust does not if anyone but the master ends a worker."""
        worker.drain()
        with suppress(RPCError):
            runner._send_stats()

    worker = LocustWorker(environment, send, is_alone=False)
    _workers[environment] = worker
    runner.register_message(ANSWER, lambda environment, msg: worker.receive(msg.data))
    runner.register_message(DRAIN, lambda environment, msg: worker.drain(), concurrent=True)
    environment.events.test_start.add_listener(lambda environment, **_: worker.start())
    if runner.worker_state != STATE_INIT:  # it joined late, after the start of the test
        worker.start()
    environment.events.test_stopping.add_listener(lambda environment, **_: worker.drain())
    environment.events.quitting.add_listener(lambda environment, **_: quit_in_order())


def _be_master(environment: Environment, runner: MasterRunner, master: Master) -> None:
    def on_report(environment: Environment, msg: Any) -> None:
        index = runner.get_worker_index(msg.node_id)
        runner.send_message(ANSWER, master.receive(msg.node_id, index, msg.data), client_id=msg.node_id)

    def drain(workers: list[str]) -> None:
        for worker in workers:
            runner.send_message(DRAIN, client_id=worker)

    def n_workers() -> int:
        return max(runner.worker_count, int(_options(environment).expect_workers))

    _options(environment).enable_rebalancing = True  # else Locust gives a worker that joins later no users
    runner.register_message(REPORT, on_report)
    environment.events.test_start.add_listener(lambda environment, **_: master.start(n_workers()))
    environment.events.test_stopping.add_listener(lambda environment, **_: master.finish(drain))
    _judge_at_the_end(environment, master)


def _be_alone(environment: Environment, master: Master) -> None:
    worker = LocustWorker(environment, lambda report: worker.receive(master.receive("local", 0, report)), is_alone=True)
    _workers[environment] = worker

    def start() -> None:
        master.start(1)
        worker.start()

    environment.events.test_start.add_listener(lambda environment, **_: start())
    environment.events.test_stopping.add_listener(lambda environment, **_: master.finish(lambda _: worker.drain()))
    _judge_at_the_end(environment, master)


def _listen_to_signals(master: Master) -> None:
    """Tell the master which signal ends Locust. SIGHUP does so as SIGTERM does, unless nohup ignores it."""

    def on_ctrl_c(number: int, frame: FrameType | None) -> None:
        master.receive_signal(number)
        signal.default_int_handler(number, frame)

    def on_hangup() -> None:
        master.receive_signal(signal.SIGHUP)
        let_go_of_the_terminal()
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, on_ctrl_c)
    gevent.signal_handler(signal.SIGTERM, master.receive_signal, signal.SIGTERM)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        gevent.signal_handler(signal.SIGHUP, on_hangup)


def _judge_at_the_end(environment: Environment, master: Master) -> None:
    """Set the exit code before Locust does."""
    _listen_to_signals(master)

    def quit_in_order(**_more: Any) -> None:
        if environment.runner is not None:
            environment.runner.quit()  # Locust does so later, when the exit code is chosen
        master.judge()
        master.close()
        if _options(environment).csv_prefix:  # written once a second, and not at the end
            gevent.sleep(CSV_STATS_INTERVAL_SEC + 0.1)

    environment.events.quitting.add_listener(quit_in_order)


events.init_command_line_parser.add_listener(_on_parser)
events.init.add_listener(_on_init)
