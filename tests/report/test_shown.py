"""Settings in words, those that were given first; and how to prove a run."""

from typing import Any

from loadgen.record import RunRecord
from loadgen.report.parts import about_rows, differing, proof, setting_rows
from tests.report.manifests import manifest, run_of, settings


def run(**changes: Any) -> RunRecord:
    """A run with these settings."""
    return run_of(manifest(settings=settings(**changes)), "runs/m 1.json")


def test_what_is_not_as_by_default_comes_first_with_its_unit() -> None:
    one = run(duration_min=0.5, threshold=["failed == 0", "p99(ack) < 50ms over 30s"], warm_up_s=3.0, quiet=True)
    changed, others = setting_rows(one)
    assert dict(changed) == {
        "brokers": "kafka:9092",
        "users": "5,000",
        "start": "2026-11-22 13:47:40 UTC",
        "duration": "30 s",
        "rate": "1,000/s",
        "threshold": "failed == 0; p99(ack) < 50ms over 30s",
        "warm_up": "3 s",
    } | {key: value for key, value in changed if key == "workers"}  # by default, as many as this machine has cores
    names = dict(others)
    assert (names["topic"], names["quiet"], names["output"]) == ("music-streaming-events", "true", "–")
    assert len(changed) + len(others) == len(one.settings)


def test_a_shape_is_named_and_one_of_a_file_is_shown_whole() -> None:
    changed, _ = setting_rows(run(shape="ramp"))
    assert dict(changed)["shape"] == "ramp"


def test_settings_of_another_version_are_shown_as_they_are() -> None:
    odd = manifest(settings={"users": "many", "start": "soon", "shape": 5, "unheard_of": {"a": 1}, "threshold": 3})
    changed, others = setting_rows(run_of(odd, "m.json"))
    assert dict(changed + others) == {
        "users": "many",
        "start": "soon",
        "shape": "5",
        "unheard_of": '{"a":1}',
        "threshold": "3",
    }


def test_what_differs_is_named_and_what_changes_no_figure_is_not() -> None:
    a, b = run(users=10, json_summary=True), run(users=20, report="x.html")
    assert differing(a, b) == [("users", "10", "20")]
    other = run_of(manifest(settings=settings(users=10), machine={"cores": 8}, versions={"numpy": "3"}), "m.json")
    names = [name for name, _, _ in differing(a, other)]
    assert names == [
        *("version of python", "version of loadgen", "version of numpy"),
        *("machine: system", "machine: processor", "machine: cores", "machine: memory_gib"),
    ]


def test_the_run_is_proved_where_its_events_are() -> None:
    said, lines = proof(run())
    assert lines == ["loadgen verify 'runs/m 1.json' --brokers kafka:9092 --topic music-streaming-events"]
    assert "made again from its manifest" in said
    files = manifest(
        settings=settings(brokers=None, folder="my events", output="x.gz"), sinks={"files": None, "stream": None}
    )
    files["sinks"] = {name: manifest()["sinks"]["kafka"] for name in ("stream", "files")}
    assert proof(run_of(files, "m.json"))[1] == [
        "loadgen verify m.json --files x.gz",
        "loadgen verify m.json --files 'my events'",
    ]


def test_what_is_gone_cannot_be_proved() -> None:
    assert proof(run(brokers="embedded")) == (
        "The embedded broker ended with the run: there is nothing left to verify.",
        [],
    )
    nowhere = run_of(manifest(settings=settings(brokers=None, discard=True), sinks={}), "m.json")
    assert proof(nowhere) == ("The run kept its events nowhere: there is nothing to verify.", [])


def test_who_when_and_where_is_said() -> None:
    rows = dict(about_rows(run()))
    assert (rows["Run"], rows["Seed"], rows["Manifest"]) == ("20261122-101500-3fa9", "7", "runs/m 1.json")
    assert (rows["Began"], rows["Ended"]) == ("2026-11-22 13:47:42 UTC", "2026-11-22 13:48:02 UTC")
    assert (rows["Processor"], rows["Usable cores"]) == ("Abacus", "4")
    assert rows["Versions"] == "python 3.11.7, loadgen 0.1.0"
