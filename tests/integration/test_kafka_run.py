"""A whole run to one real broker: what the ledger says is what the topic holds, whatever happens to the broker."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.local import Local
from tests.integration.proof import ONE_IN_FLIGHT, PARTITIONS, assert_delivered_once, assert_nothing_lost
from tests.kafka.test_partition import java_murmur2
from tests.messages import value_of
from tests.runner.program import Program, start, wait_until
from tests.sink.topic import n_in_topic, read_topic
from tests.verifier.runs import verified

FLAGS = ("--workers", "2", "--users", "1000", "--seed", "9")
STOP_S = 5.0
MIB = 1 << 20


def run(folder: Path, local: Local, topic: str, *flags: str) -> Program:
    """Start a run to a topic of its own."""
    copies = str(min(3, local.brokers.count(",") + 1))
    made = ("--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", copies)
    return start(folder, "--brokers", local.brokers, "--topic", topic, *made, *FLAGS, *flags)


def under_way(folder: Path, local: Local, topic: str, *flags: str) -> Program:
    """A run that has begun to deliver."""
    program = run(folder, local, topic, *flags)
    wait_until(lambda: program.process.poll() is not None or _n_so_far(local, topic) > 2000)
    assert program.process.poll() is None, program.end()
    return program


def _n_so_far(local: Local, topic: str) -> int:
    try:
        return n_in_topic(local.brokers, topic)
    except (KeyError, KafkaException):  # it has not been made yet, or has no leaders yet
        return 0


def test_every_event_of_a_calm_run_is_in_the_topic_once(tmp_path: Path, broker: Local) -> None:
    code, summary, shown = run(tmp_path, broker, "calm", "--events", "50000", "--rate", "max").end()
    assert code == 0, shown
    assert summary["delivered"] == 50_000
    messages = assert_delivered_once(tmp_path, summary, broker.brokers, "calm")
    assert {message.partition() for message in messages} == set(range(PARTITIONS))


def test_a_consumer_reads_the_keys_headers_and_cloudevents_that_were_asked_for(tmp_path: Path, broker: Local) -> None:
    asked = ("--key", "session", "--key-type", "int64", "--cloudevents", "binary", "--header", "trace={sessionId}")
    code, summary, shown = run(tmp_path, broker, "keyed", "--events", "20000", "--rate", "max", *asked).end()
    assert code == 0, shown
    messages = read_topic(broker.brokers, "keyed")
    assert summary["delivered"] == len(messages) == 20_000
    for message in messages:
        record, headers = orjson.loads(value_of(message)), dict(message.headers() or [])
        key = record["sessionId"].to_bytes(8, "big")
        assert message.key() == key
        assert message.partition() == (java_murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        assert headers["trace"] == b"%d" % record["sessionId"]
        assert headers["ce_id"] == b"%d-%d" % (record["sessionId"], record["itemInSession"])
        assert headers["ce_type"] == f"loadgen.{record['page']}".encode()
    report = verified(tmp_path / str(summary["manifest"]), brokers=broker.brokers, topic="keyed")
    assert report.findings.is_proved


def test_a_missing_topic_is_named_with_the_flag_that_makes_it(tmp_path: Path, broker: Local) -> None:
    code, _, shown = start(tmp_path, "--brokers", broker.brokers, "--topic", "nowhere", "--events", "10").end()
    assert code == 1
    assert "topic 'nowhere' is not on" in shown
    assert "--create-topic" in shown
    assert n_topics_named(broker, "nowhere") == 0, "asking for a topic must not make it"


def n_topics_named(local: Local, name: str) -> int:
    """How many topics of this name there are, without making one."""
    return list(AdminClient({"bootstrap.servers": local.brokers}).list_topics(timeout=10).topics).count(name)


def test_more_copies_than_brokers_are_refused_with_the_next_step(tmp_path: Path, broker: Local) -> None:
    flags = ("--brokers", broker.brokers, "--topic", "copies", "--create-topic", "--replication-factor", "3")
    code, _, shown = start(tmp_path, *flags, "--events", "10").end()
    assert code == 1
    assert "say --replication-factor N with N up to the number of brokers" in shown


def test_a_topic_that_takes_no_future_is_an_error_before_the_first_event(tmp_path: Path, broker: Local) -> None:
    make_topic(broker, "strict")
    flags = ("--brokers", broker.brokers, "--topic", "strict", *FLAGS)
    code, _, shown = start(tmp_path, *flags, "--start", "+2d", "--events", "5000").end()
    assert code == 1, shown
    assert "simulated time reaches 2 d ahead of the clock, and topic 'strict' takes events up to 1 h ahead" in shown
    assert "--timestamps wall, an earlier --start, or" in shown
    assert "kafka-configs.sh --alter --topic strict --add-config message.timestamp.after.max.ms=" in shown
    assert n_in_topic(broker.brokers, "strict") == 0


def test_a_topic_that_refuses_the_future_in_mid_run_leaves_an_exact_ledger(tmp_path: Path, broker: Local) -> None:
    make_topic(broker, "unsure")
    flags = ("--brokers", broker.brokers, "--topic", "unsure", *FLAGS)
    code, summary, shown = start(tmp_path, *flags, "--events", "40000", "--rate", "max").end()
    assert code == 1, shown
    assert "note: simulated time may reach" in shown
    assert "Invalid timestamp" in shown
    assert "so far ahead of the brokers' clock: --timestamps wall" in shown
    assert summary["delivered"] == n_in_topic(broker.brokers, "unsure") > 0
    assert summary["failed"] + summary["unfinished"] == summary["planned"] - summary["delivered"] > 0


def test_a_backfill_is_told_when_the_topic_does_not_keep_it(tmp_path: Path, broker: Local) -> None:
    make_topic(broker, "old")
    flags = ("--brokers", broker.brokers, "--topic", "old", "--start", "-30d", "--events", "100", "--rate", "max")
    code, _, shown = start(tmp_path, *flags).end()
    assert code == 0, shown
    assert "begins with events of 30 d ago, and topic 'old' keeps events for 7 d" in shown
    assert "kafka-configs.sh --alter --topic old --add-config retention.ms=-1" in shown


def test_a_topic_that_is_made_for_a_backfill_keeps_it(tmp_path: Path, broker: Local) -> None:
    made = ("--brokers", broker.brokers, "--topic", "kept", "--create-topic", "--partitions", "4")
    code, _, shown = start(tmp_path, *made, "--start", "-30d", "--events", "100", "--rate", "max").end()
    assert code == 0, shown
    assert "topic kept is made with replication factor 1: there are no more brokers" in shown
    assert "keeps events for" not in shown
    assert "no longer knows who sent messages older than 1 d (producer.id.expiration.ms)" in shown
    assert n_in_topic(broker.brokers, "kept") == 100


def make_topic(local: Local, name: str) -> None:
    """A topic with the broker's own settings."""
    admin = AdminClient({"bootstrap.servers": local.brokers})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(20)


def crash(local: Local) -> None:
    """Kill -9."""
    local.signal("kafka-1", signal.SIGKILL)


def shut_down(local: Local) -> None:
    """Stop in good order."""
    local.down()


@pytest.mark.parametrize("stop", [crash, shut_down])
def test_a_broker_that_restarts_in_mid_run_costs_nothing_but_time(
    tmp_path: Path, broker: Local, stop: Callable[[Local], None]
) -> None:
    program = under_way(tmp_path, broker, stop.__name__, "--rate", "3k/s", "--duration", "20s", *ONE_IN_FLIGHT)
    stop(broker)
    time.sleep(1.0)
    broker.up()
    code, summary, shown = program.end(120.0)
    assert code == 0, shown
    assert summary["delivered"] == pytest.approx(60_000, rel=0.02)
    assert summary["intended_to_ack_ms"]["max"] > 2000.0  # the stall is seen, not hidden
    assert_delivered_once(tmp_path, summary, broker.brokers, stop.__name__)


def test_a_broker_that_is_killed_in_mid_run_loses_nothing_with_many_requests_in_flight(
    tmp_path: Path, broker: Local
) -> None:
    program = under_way(tmp_path, broker, "many", "--rate", "3k/s", "--duration", "10s")
    crash(broker)
    time.sleep(1.0)
    broker.up()
    code, summary, shown = program.end(120.0)
    assert code == 0, shown
    assert_nothing_lost(summary, broker.brokers, "many")


def test_a_broker_that_stands_still_shows_as_latency(tmp_path: Path, broker: Local) -> None:
    program = under_way(tmp_path, broker, "still", "--rate", "3k/s", "--duration", "12s")
    pause(broker)
    code, summary, shown = program.end(90.0)
    assert code == 0, shown
    assert summary["intended_to_ack_ms"]["max"] > 0.9 * STOP_S * 1000
    assert summary["intended_to_ack_ms"]["p50"] < 0.5 * STOP_S * 1000
    assert_delivered_once(tmp_path, summary, broker.brokers, "still")


def test_a_small_queue_turns_a_pause_into_schedule_lag_in_bounded_memory(tmp_path: Path, broker: Local) -> None:
    small = ("--kafka-option", "queue.buffering.max.messages=2000")
    program = under_way(tmp_path, broker, "small", "--rate", "20k/s", "--duration", "15s", *small)
    before = memory_bytes(program)
    pause(broker)
    growth = memory_bytes(program) - before
    code, summary, shown = program.end(90.0)
    assert code == 0, shown
    assert summary["schedule_lag_ms"]["max"] > 0.8 * STOP_S * 1000
    assert growth < 40 * MIB  # 100,000 events that nobody took would be more than this, in two workers
    assert_delivered_once(tmp_path, summary, broker.brokers, "small")


def pause(local: Local) -> None:
    """Stop the broker's process for a while, without closing its connections."""
    local.signal("kafka-1", signal.SIGSTOP)
    time.sleep(STOP_S)
    local.signal("kafka-1", signal.SIGCONT)


def memory_bytes(program: Program) -> int:
    """What the workers hold for themselves."""
    workers: list[psutil.Process] = program.workers()
    return sum(worker.memory_full_info().uss for worker in workers)
