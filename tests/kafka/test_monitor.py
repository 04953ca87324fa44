"""What librdkafka says is kept for messages, once, short, and without secrets."""

import logging
from typing import Any

import orjson
import pytest
from confluent_kafka import KafkaError

from loadgen.kafka.monitor import N_KEPT, BrokerStats, Monitor
from loadgen.kafka.options import KafkaSettings
from loadgen.sink.kafka import KafkaSink
from tests.mock_cluster import MockCluster
from tests.sink.lines import make_lines

IDLE = {"p99": 0, "max": 0, "cnt": 0}


def log(monitor: Monitor, level: int, text: str) -> None:
    monitor.logger.handle(logging.LogRecord("x", level, "x", 1, "%s %s", tuple(text.split(" ", 1)), None))


def broker(round_trip: dict[str, int], *, state: str = "UP", source: str = "learned") -> dict[str, Any]:
    return {"rtt": round_trip, "state": state, "source": source}


def tell(monitor: Monitor, *brokers: dict[str, Any]) -> None:
    """Librdkafka's statistics, with seven messages in the queue."""
    by_name = {f"broker {number}": one for number, one in enumerate(brokers)}
    monitor.callbacks()["stats_cb"](orjson.dumps({"msg_cnt": 7, "brokers": by_name}).decode())


def test_a_complaint_that_repeats_is_kept_once_as_the_latest() -> None:
    monitor = Monitor({})
    for error in ("down", "up", "down"):
        monitor.on_error(KafkaError(KafkaError._TRANSPORT, error))
    assert list(monitor.last_errors) == ["up", "down"]
    assert monitor.fatal is None


def test_only_the_last_few_complaints_are_kept() -> None:
    monitor = Monitor({})
    for number in range(100):
        monitor.on_error(KafkaError(KafkaError._TRANSPORT, f"error {number}"))
    assert list(monitor.last_errors) == [f"error {number}" for number in range(100 - N_KEPT, 100)]


def test_a_fatal_error_is_remembered() -> None:
    monitor = Monitor({})
    monitor.on_error(KafkaError(KafkaError._FATAL, "the end", True))
    assert monitor.fatal is not None
    assert monitor.fatal.str() == "the end"


@pytest.mark.parametrize(
    ("level", "line", "kept"),
    [
        (logging.ERROR, "FAIL [rdkafka#producer-1] [thrd:b]: b: refused (after 3ms in state CONNECT)", ["b: refused"]),
        (logging.INFO, "FAIL [rdkafka#prod-1] [thrd:b]: b: closed, 2 identical error(s) suppressed", ["b: closed"]),
        (logging.WARNING, "CONFWARN [thrd:app]: enable.gapless.guarantee is experimental", []),
        (logging.INFO, "BROKER [thrd:app]: hello", []),
    ],
)
def test_log_lines_that_tell_of_trouble_are_kept_without_their_origin(level: int, line: str, kept: list[str]) -> None:
    monitor = Monitor({})
    log(monitor, level, line)
    assert list(monitor.last_errors) == kept


def test_secrets_are_taken_out() -> None:
    monitor = Monitor({"sasl.password": "hunter2"})
    monitor.on_error(KafkaError(KafkaError._AUTHENTICATION, "hunter2 is wrong"))
    log(monitor, logging.ERROR, "FAIL hunter2 was refused")
    assert list(monitor.last_errors) == ["*** is wrong", "*** was refused"]
    assert monitor.texts[KafkaError._AUTHENTICATION] == "*** is wrong"


def test_the_slowest_brokers_round_trip_and_the_queue_are_read_from_the_statistics() -> None:
    monitor = Monitor({})
    assert monitor.stats.queue_messages == 0
    quick, slow = {"p99": 1500, "max": 9000, "cnt": 100}, {"p99": 2500, "max": 9000, "cnt": 100}
    for round_trips in ((quick, slow, IDLE), (IDLE,)):
        tell(monitor, *(broker(round_trip) for round_trip in round_trips))
        assert monitor.stats == BrokerStats(0.0025, 7, len(round_trips))


def test_of_a_few_round_trips_the_longest_counts_however_much_longer_it_is() -> None:
    monitor = Monitor({})
    few = {"p99": 143, "max": 800_941, "cnt": 4}  # as librdkafka said of a broker that took 800 ms for the first batch
    tell(monitor, broker(few))
    assert monitor.stats.round_trip_p99_s == pytest.approx(0.800941)


def test_a_client_is_stranded_once_it_has_known_of_no_broker_twice() -> None:
    monitor, role = Monitor({}), broker(IDLE, source="logical")
    tell(monitor, broker(IDLE, state="DOWN"), role)
    assert (monitor.stats.n_connected, monitor.has_no_brokers) == (0, False)
    tell(monitor, role)
    assert not monitor.has_no_brokers, "a client that begins anew has no broker for a moment"
    tell(monitor, broker(IDLE, source="configured"), role)
    tell(monitor, role)
    assert not monitor.has_no_brokers
    tell(monitor, role)
    assert monitor.has_no_brokers


def test_nothing_is_printed_and_the_round_trip_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    with MockCluster(partitions=4) as cluster:
        capfd.readouterr()
        settings = KafkaSettings(cluster.address, "t", {"statistics.interval.ms": "50"})
        sink = KafkaSink(settings, n_partitions=4)
        sink.send(make_lines(1000))
        sink.flush(10)
        for _ in range(20):
            sink.poll(0.02)
        assert 0 < sink.round_trip_s() < 5
        cluster.down()
        for _ in range(10):
            sink.poll(0.02)
        assert any("Disconnected" in text for text in sink.last_errors)
        sink.close()
        del sink
    assert capfd.readouterr().err == ""
