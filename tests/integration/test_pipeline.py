"""`loadgen pipeline` through a real broker into real HDFS: nothing is lost, whatever dies and whoever else produces."""

import signal
import time
from pathlib import Path

from loadgen.store import open_store
from loadgen.store.layout import published
from tests.integration.local import Local
from tests.pipeline.program import Pipeline, assert_proved, pipeline
from tests.runner.program import start, wait_until

MADE = ("--create-topic", "--partitions", "4", "--replication-factor", "1")


def flags(broker: Local, store: str, topic: str) -> tuple[str, ...]:
    """Where the events go."""
    return ("--brokers", broker.brokers, "--topic", topic, "--store", store, *MADE)


def url(hdfs: Local, path: str) -> str:
    """Of a folder."""
    return f"hdfs://127.0.0.1:{hdfs.hdfs_port}/pipeline/{path}"


def wait_for_files(running: Pipeline, store: str, n_more: int = 3) -> None:
    """Wait until so many more files are there than now."""
    opened = open_store(store)
    n_wanted = len(published(opened)) + n_more
    wait_until(lambda: running.process.poll() is not None or len(published(opened)) >= n_wanted, 60.0)
    assert running.process.poll() is None, running.shown()


def test_a_demonstration_of_some_seconds_is_proved(tmp_path: Path, broker: Local, hdfs: Local) -> None:
    store = url(hdfs, "calm")
    with pipeline(tmp_path, *flags(broker, store, "pipeline-calm"), "--duration", "8s") as running:
        code, summary, said = running.end(None, 120.0)
    assert code == 0, said
    assert_proved(summary, said)
    assert summary["found"] > 1000
    assert (summary["store"], summary["restarts"]) == (store, {"producer": 0, "consumer": 0, "dashboard": 0})


def test_what_is_killed_on_the_way_costs_no_event(tmp_path: Path, broker: Local, hdfs: Local) -> None:
    store = url(hdfs, "killed")
    with pipeline(tmp_path, *flags(broker, store, "pipeline-killed")) as running:
        for command in ("run", "consume", "dashboard"):
            wait_for_files(running, store)
            running.wait_for_another(command, running.kill(command))
        wait_for_files(running, store)
        code, summary, said = running.end(timeout_s=120.0)
    assert code == 130, said
    assert_proved(summary, said)
    assert summary["restarts"] == {"producer": 1, "consumer": 1, "dashboard": 1}


def test_ctrl_c_while_the_name_node_is_away_waits_for_it(tmp_path: Path, broker: Local, hdfs: Local) -> None:
    store = url(hdfs, "away")
    with pipeline(tmp_path, *flags(broker, store, "pipeline-away")) as running:
        wait_for_files(running, store)
        hdfs.signal("namenode", signal.SIGKILL)
        time.sleep(3.0)
        running.process.send_signal(signal.SIGINT)
        time.sleep(3.0)
        assert running.process.poll() is None, running.shown()
        hdfs.up()
        code, summary, said = running.end(None, 120.0)
    assert code == 130, said
    assert_proved(summary, said)


def test_events_of_others_in_the_same_topic_are_no_fault(tmp_path: Path, broker: Local, hdfs: Local) -> None:
    store, topic = url(hdfs, "shared"), "pipeline-shared"
    where = ("--brokers", broker.brokers, "--topic", topic, *MADE, "--rate", "max", "--events", "3000")
    assert start(tmp_path, *where, "--seed", "77").end()[0] == 0
    with pipeline(tmp_path, *flags(broker, store, topic)) as running:
        wait_for_files(running, store)
        assert start(tmp_path, *where, "--seed", "78").end()[0] == 0
        wait_for_files(running, store)
        code, summary, said = running.end(timeout_s=120.0)
    assert code == 130, said
    assert_proved(summary, said)
    assert any("events of others, from the same topic" in note for note in summary["notes"])
