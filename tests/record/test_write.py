"""A manifest is written whole or not at all, says what happened, and holds no secret."""

import os
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadgen.config import RunSettings
from loadgen.errors import OutputUnwritable
from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.histogram import Sparse
from loadgen.ledger import Outcome, Tally
from loadgen.record import MANIFEST_START, SinkRecord, read, versions, write
from tests.full_disk import fill_disk
from tests.report.manifests import manifest, run_of


def test_what_is_written_is_read_back_and_nothing_else_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "deep" / "m.json"
    record = run_of(manifest(seed=2**64 - 1, run_id="봄"), str(path))
    write(path, record)
    assert path.read_bytes().translate(None, b" \n").startswith(MANIFEST_START)
    assert read(path) == record
    assert orjson.loads(path.read_bytes()) == manifest(seed=2**64 - 1, run_id="봄")
    assert os.listdir(path.parent) == ["m.json"]


def test_a_manifest_that_cannot_be_written_whole_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.json"
    write(path, run_of(manifest(run_id="1"), ""))
    fill_disk(monkeypatch)
    with pytest.raises(OutputUnwritable, match=r"No space left on device.*--manifest PATH"):
        write(path, run_of(manifest(run_id="2"), ""))
    assert orjson.loads(path.read_bytes())["run_id"] == "1"
    assert os.listdir(tmp_path) == ["m.json"]


@pytest.mark.parametrize("name", ["a_file/m.json", "a_folder"])
def test_an_unwritable_place_is_named_with_the_next_step(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_file").write_text("")
    (tmp_path / "a_folder").mkdir()
    with pytest.raises(OutputUnwritable) as refused:
        write(tmp_path / name, run_of(manifest(), ""))
    assert str(tmp_path / name) in str(refused.value)
    assert "--manifest PATH" in str(refused.value)
    assert sorted(os.listdir(tmp_path)) == ["a_file", "a_folder"]


def test_the_ledger_of_a_sink_has_its_counts_and_its_fingerprint_by_slice() -> None:
    tally = Tally(bytes_delivered=77)
    tally.complete(Outcome.DELIVERED, np.array([1, 1, 0], np.uint8))
    tally.complete(Outcome.DROPPED, np.array([1], np.uint8))
    tally.ack_s.record(np.full(3, 0.25))
    tally.fingerprint.add(np.array([0, 255, 255], np.uint16), np.array([1, 2**64 - 1, 3], np.uint64))
    found = orjson.loads(orjson.dumps(SinkRecord.of(tally).model_dump(exclude_unset=True)))
    fingerprint, by_page, ack, waited = (
        found.pop(name) for name in ("fingerprint", "by_page", "ack", "intended_to_ack")
    )
    assert found == {
        "planned": 4,
        "delivered": 3,
        "failed": 0,
        "dropped": 1,
        "unfinished": 0,
        "aborted": 0,
        "bytes": 77,
    }
    assert {(outcome, page): n for outcome, pages in by_page.items() for page, n in pages.items() if n} == {
        ("delivered", "Home"): 1,
        ("delivered", "NextSong"): 2,
        ("dropped", "NextSong"): 1,
    }
    assert Sparse.from_json(ack).summary_ms() == tally.ack_s.summary_ms()
    assert (ack["counts"], ack["max_s"], waited["counts"]) == ([3], 0.25, [])
    assert fingerprint["slices"] == len(fingerprint["count"]) == len(fingerprint["total"]) == N_VIRTUAL_SHARDS
    assert (fingerprint["count"][0], fingerprint["count"][255], sum(fingerprint["count"])) == (1, 2, 3)
    assert (fingerprint["total"][0], fingerprint["total"][255]) == ("0000000000000001", "0000000000000002")


def test_no_secret_of_the_settings_reaches_the_manifest(tmp_path: Path) -> None:
    options = ["sasl.password=hunter2-secret", "sasl.username=mina", "ssl.key.password=hunter2-key"]
    settings = RunSettings.model_validate({"brokers": "b:9092", "kafka_option": options})
    write(tmp_path / "m.json", run_of(manifest(settings=settings.public_dict()), ""))
    text = (tmp_path / "m.json").read_text()
    assert "hunter2" not in text
    assert orjson.loads(text)["settings"]["kafka_option"] == {
        "sasl.password": "***",
        "sasl.username": "mina",
        "ssl.key.password": "***",
    }


def test_the_versions_of_what_the_events_depend_on_are_named() -> None:
    found = versions()
    assert {"python", "loadgen", "numpy", "pyarrow", "confluent-kafka", "orjson", "faker"} == found.keys()
    assert found["numpy"] == np.__version__
