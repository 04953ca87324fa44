"""A run watches consumer groups: thresholds on how far they are behind, the time they take to catch up."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from pydantic import ValidationError

from loadgen.config import RunSettings
from loadgen.config.thresholds import threshold
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.group_lag import GroupWatch
from loadgen.kafka.options import KafkaSettings
from loadgen.runner.history import merged
from loadgen.runner.thresholds import Thresholds
from tests.runner.program import start, wait_until
from tests.runner.windows import window

SMALL = ("--users", "300", "--workers", "1", "--start", "2026-01-05", "--topic", "songs")


@contextmanager
def reader(address: str, most_per_s: float) -> Iterator[None]:
    """A consumer group "app" that takes and commits so many messages a second at most."""
    over = threading.Event()
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "app",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": "false",
            "fetch.wait.max.ms": "10",
        }
    )
    has_joined = threading.Event()
    consumer.subscribe(["songs"], on_assign=lambda *_: has_joined.set())

    def read() -> None:
        began_s, n_read = time.monotonic(), 0
        while not over.is_set():
            allowed = int((time.monotonic() - began_s) * most_per_s) - n_read
            messages = consumer.consume(allowed, 0.02) if allowed > 0 else []
            if not messages:  # a limit is no credit for what was not there to be read
                began_s, n_read = (time.monotonic(), 0) if allowed > 0 else (began_s, n_read)
                time.sleep(0.01)
                continue
            n_read += len(messages)
            consumer.commit(asynchronous=False)
        consumer.close()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert has_joined.wait(30.0)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"watch_group": ["app"]}, "add --brokers"),
        ({"brokers": "b:9092", "wait_caught_up": 5}, "add --watch-group NAME"),
        ({"brokers": "b:9092", "threshold": "lag(app) < 5"}, "add --watch-group app"),
        ({"brokers": "b:9092", "watch_group": ["app"], "threshold": "catch_up < 5s"}, "add --wait-caught-up 2m"),
        ({"brokers": "b:9092", "watch_group": ["app"], "find_max_rate": True}, "behind(app) < 5s"),
        ({"brokers": "b:9092", "watch_group": ["app"], "find_max_rate": True}, "add --wait-caught-up 5m"),
    ],
)
def test_what_needs_more_says_so(flags: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as problem:
        RunSettings.from_public(flags)
    assert said in str(problem.value)


def test_thresholds_of_groups_hold_the_means_of_their_windows() -> None:
    asked = [threshold("lag(my app) < 10 over 2s"), threshold("behind(my app) <= 3s"), threshold("catch_up < 5s")]
    thresholds = Thresholds(asked, 0.0, lambda: None)
    parts = [
        window(float(n), n + 1.0, lag={"my app": lag}, behind_s={"my app": lag / 10})
        for n, lag in enumerate((4, 10, 12))
    ]
    for part in parts:
        thresholds.watch(part)
    whole = merged([*parts, window(3.0, 4.0, lag={"my app": 0}, behind_s={"my app": 0.0}, catch_up_s=float("inf"))])
    lag, behind, _catch_up = thresholds.judged(whole)
    assert (lag.passed, lag.value, lag.worst) == (False, 11.0, 11.0)
    assert (behind.passed, behind.worst) == (True, 1.2)
    assert str(threshold("catch_up < 5s").figure) == "catch_up"
    assert str(asked[0].figure) == "lag(my app)"


@pytest.mark.slow
def test_a_run_says_how_far_a_slow_group_was_behind_and_how_long_it_took(tmp_path: Path) -> None:
    with EmbeddedBroker("songs") as broker, reader(broker.address, 1000):
        flags = ("--brokers", broker.address, "--rate", "2k/s", "--duration", "6s", "--watch-group", "app")
        kept, broken = ("catch_up < 60s", "lag(app) < 8k"), ("behind(app) < 1s over 2s",)
        run = start(tmp_path, *SMALL, *flags, "--wait-caught-up", "40s", "--threshold", *kept, *broken)
        code, summary, shown = run.end()
    assert code == 1, shown
    assert [one["passed"] for one in summary["thresholds"]] == [True, True, False], shown
    (group,) = summary["groups"]
    assert (group["name"], group["lag"], summary["delivered"]) == ("app", 0, 12_000)
    assert 4_000 < group["most_lag"] < 8_500, shown  # 6 s at 1,000/s too many, and what it had not committed yet
    assert 4.0 < group["catch_up_s"] < 12.0, shown
    assert "group app: at most" in shown
    history = json.loads((tmp_path / summary["manifest"]).read_text())["history"]
    lags = [part["lag"]["app"] for part in history]
    assert lags == sorted(lags)
    assert lags[-1] > 3_000  # it was looked at before the group caught up


@pytest.mark.slow
def test_a_signal_ends_the_wait_for_a_group_that_nobody_runs(tmp_path: Path) -> None:
    with EmbeddedBroker("songs") as broker:
        flags = ("--brokers", broker.address, "--rate", "500/s", "--duration", "2s", "--watch-group", "app")
        run = start(tmp_path, *SMALL, *flags, "--wait-caught-up", "10m", "--threshold", "catch_up < 5min")
        wait_until(lambda: broker_has(broker, 1000), 40.0)
        time.sleep(1.0)
        run.signal(signal.SIGINT)
        code, summary, shown = run.end(20)
    assert code == 1, shown
    assert summary["delivered"] == 1000
    assert summary["exit_reason"] == "duration"
    assert summary["groups"][0] | {"behind_s": 0, "most_behind_s": 0} == {
        "name": "app", "lag": 1000, "most_lag": 1000, "behind_s": 0, "most_behind_s": 0, "catch_up_s": None,
        "error": None,
    }  # fmt: skip
    assert "✗ catch_up < 5min is broken: not in the time that was given" in shown


def broker_has(broker: EmbeddedBroker, n_messages: int) -> bool:
    """Whether the topic has so many."""
    watch = GroupWatch(KafkaSettings(broker.address, "songs"), ["nobody"])
    watch.look()
    return watch.latest()["nobody"].messages >= n_messages
