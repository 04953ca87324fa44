"""Runs that were killed with kill -9, coordinator and all: what they sent can be verified all the same."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.errors import ManifestError
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.options import KafkaSettings
from loadgen.verifier.manifest_spec import read_promises
from loadgen.verifier.topic import TopicSource
from loadgen.verifier.worker_progress import MAX_INCARNATIONS, ProgressFile, path_beside, read_planned
from tests.runner.program import lines_in, run_here, start, wait_until
from tests.verifier.runs import START, counts_of, verified


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two workers into date folders, all of which were killed."""
    folder = tmp_path_factory.mktemp("killed")
    size = ("--users", "500", "--workers", "2", "--rate", "3000/s")
    program = start(folder, *START, *size, "--continuous", "--folder", "out", "--manifest", "m.json")
    wait_until(lambda: len(lines_in(folder / "out")) > 9000)
    workers = program.workers()
    program.signal(signal.SIGKILL)
    program.process.communicate(timeout=90)
    for worker in workers:  # they end by themselves, without anybody to tell them
        worker.wait(15)
    return folder


def spoilt(killed: Path, folder: Path, lines: list[bytes]) -> dict[str, int]:
    """What is wrong with these lines."""
    path = folder / "spoilt.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return counts_of(verified(killed / "m.json", files=[str(path)]))


def test_what_it_sent_is_all_of_its_plan_and_there_once(killed: Path) -> None:
    report = verified(killed / "m.json", files=[str(killed / "out")])
    assert counts_of(report) == {}
    (promise,) = report.promises
    assert 0 < promise.delivered.count.sum() <= report.findings.n_found <= promise.planned.sum()
    assert any("was killed, or goes on" in note for note in report.notes())


def test_the_file_beside_the_manifest_says_what_was_planned_after_the_last_report(killed: Path) -> None:
    content = orjson.loads((killed / "m.json").read_bytes())
    planned = read_planned(path_beside(killed / "m.json"))
    assert planned.sum() >= sum(content["planned"]["count"])
    (promise,) = read_promises([killed / "m.json"], "folder")
    assert promise.planned.tolist() == planned.tolist()


def test_an_event_that_is_there_twice_is_repeated(killed: Path, tmp_path: Path) -> None:
    lines = lines_in(killed / "out")
    wrong = spoilt(killed, tmp_path, [*lines, lines[-1]])
    assert wrong["repeated"] == 1
    assert "lost" not in wrong


def test_an_event_that_it_never_planned_is_foreign(killed: Path, tmp_path: Path) -> None:
    lines = lines_in(killed / "out")
    record = orjson.loads(lines[0])
    foreign = orjson.dumps({**record, "sessionId": record["sessionId"] + 500, "itemInSession": 77})
    assert spoilt(killed, tmp_path, [*lines, foreign])["foreign"] == 1


def test_what_its_last_report_counts_as_delivered_must_be_there(killed: Path, tmp_path: Path) -> None:
    (promise,) = read_promises([killed / "m.json"], "folder")
    n_sure = int(promise.delivered.count.sum())
    lines = lines_in(killed / "out")[: n_sure // 2]
    assert spoilt(killed, tmp_path, lines)["lost"] == n_sure - len(lines) + _beyond(promise.delivered.count, lines)


def _beyond(delivered: "np.typing.NDArray[np.int64]", lines: list[bytes]) -> int:
    """Events that are there of slices of which more are there than were counted as delivered."""
    slices = np.array([orjson.loads(line)["userId"] % N_VIRTUAL_SHARDS for line in lines])
    return int(np.maximum(np.bincount(slices, minlength=N_VIRTUAL_SHARDS) - delivered, 0).sum())


def test_without_the_file_beside_it_nothing_is_guessed(killed: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes((killed / "m.json").read_bytes())
    with pytest.raises(ManifestError, match=r"how far it came stands in .*m\.json\.reached, .*put it beside"):
        read_promises([tmp_path / "m.json"], "folder")
    path_beside(tmp_path / "m.json").write_bytes(b"123")
    with pytest.raises(ManifestError, match="it is no such file"):
        read_promises([tmp_path / "m.json"], "folder")


def test_the_lives_of_a_worker_go_through_the_same_events_and_workers_through_different_ones(tmp_path: Path) -> None:
    path = tmp_path / "m.json.reached"
    progress_file = ProgressFile(path, 2)
    for worker, incarnation, n_events in ((0, 0, 7), (0, 1, 5), (1, MAX_INCARNATIONS - 1, 4)):
        progress_file.slot(worker, incarnation).open().planned()[3] = n_events
    assert read_planned(path).tolist() == [11 if number == 3 else 0 for number in range(N_VIRTUAL_SHARDS)]
    ProgressFile(path, 1)
    assert read_planned(path).sum() == 0
    progress_file.remove()
    progress_file.remove()
    assert not path.exists()


def test_a_run_that_ends_leaves_its_manifest_alone(tmp_path: Path) -> None:
    code, summary, shown = run_here(tmp_path, *START, "--events", "500", "--rate", "max", "--quiet")
    assert code == 0, shown
    assert [path.name for path in (tmp_path / "loadgen_runs").iterdir()] == [Path(summary["manifest"]).name]
    assert not read_promises([tmp_path / summary["manifest"]], "folder")[0].was_killed


def test_without_its_oldest_events_they_are_lost_however_many_were_still_open(killed: Path, tmp_path: Path) -> None:
    lines = [line for path in sorted((killed / "out").rglob("*.jsonl")) for line in path.read_bytes().splitlines()]
    oldest = set(sorted(lines, key=lambda line: orjson.loads(line)["ts"])[:10])
    assert spoilt(killed, tmp_path, lines) == {}
    assert spoilt(killed, tmp_path, [line for line in lines if line not in oldest]) == {"lost": 10}


@pytest.fixture(scope="module")
def topic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[bytes]]]:
    """The folder of a run to Kafka whose coordinator was killed, and the topic's values, oldest first."""
    folder = tmp_path_factory.mktemp("topic")
    with EmbeddedBroker("t") as broker:
        to = ("--brokers", broker.address, "--topic", "t", "--kafka-option", "linger.ms=200")
        size = ("--users", "300", "--workers", "2", "--rate", "4000/s")
        program = start(folder, *START, *size, *to, "--continuous", "--manifest", "m.json")
        wait_until(lambda: (folder / "m.json").exists() and delivered(folder) > 2000)
        workers = program.workers()
        program.signal(signal.SIGKILL)
        program.process.communicate(timeout=90)
        for worker in workers:
            worker.wait(15)
        source = TopicSource(KafkaSettings(broker.address, "t"))
        contents = [block.content for block in source.blocks()]
        yield folder, [value for content in contents if isinstance(content, list) for value in content]


def delivered(folder: Path) -> int:
    return int(orjson.loads((folder / "m.json").read_bytes())["sinks"]["kafka"]["delivered"])


@pytest.mark.parametrize("n_absent", [1, 10, 100])
def test_a_topic_without_its_oldest_events_is_not_proved(
    topic: tuple[Path, list[bytes]], tmp_path: Path, n_absent: int
) -> None:
    folder, values = topic
    assert spoilt(folder, tmp_path, values) == {}
    oldest = set(sorted(values, key=lambda value: orjson.loads(value)["ts"])[:n_absent])
    assert spoilt(folder, tmp_path, [value for value in values if value not in oldest]) == {"lost": n_absent}


ENDS: dict[str, tuple[str, ...]] = {
    "a worker killed": ("--on-worker-death", "fail"),
    "two Ctrl-C": (),
    "a hang-up": (),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_a_run_that_is_cut_short_promises_all_but_what_was_open(how: str, tmp_path: Path) -> None:
    size = ("--users", "300", "--workers", "2", "--rate", "3000/s")
    program = start(tmp_path, *START, *size, "--continuous", "--folder", "out", "--manifest", "m.json", *ENDS[how])
    wait_until(lambda: len(lines_in(tmp_path / "out")) > 6000)
    if how == "a worker killed":
        program.kill_a_worker()
    elif how == "a hang-up":
        program.signal(signal.SIGHUP)
    else:
        program.signal(signal.SIGINT)
        program.signal(signal.SIGINT)
    program.end()
    report = verified(tmp_path / "m.json", files=[str(tmp_path / "out")])
    assert (counts_of(report), report.findings.is_proved) == ({}, True)
    lines = lines_in(tmp_path / "out")
    assert spoilt(tmp_path, tmp_path, lines[1:]) == {"lost": 1}
