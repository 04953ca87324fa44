"""A manifest that is none, is of another version, or does not fit is refused in words, never with a traceback."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cli import main
from loadgen.errors import CatalogError, LoadgenError, ManifestError
from loadgen.fingerprint import run_key
from loadgen.verifier.manifest_spec import ManifestSpec, read_promises
from loadgen.verifier.names import KnownNames
from loadgen.verifier.observed import Reader
from tests.verifier.runs import Run, counts_of, one_file, verified_lines

KEY = run_key(5)
"""Of the runs' seed, see runs.START."""
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run, made once."""
    return one_file(tmp_path_factory.mktemp("run"), events=300)


def changed(run: Run, folder: Path, change: Change) -> Path:
    """The manifest with a change."""
    content = orjson.loads(run.manifest.read_bytes())
    change(content)
    path = folder / "changed.json"
    path.write_bytes(orjson.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(manifest_version=1), "must have version 3, got 1"),
        (lambda m: m["versions"].update(loadgen="0.0.7"), "verify it with `pip install loadgen==0.0.7`"),
        (lambda m: m.pop("planned"), "no field 'planned'"),
        (lambda m: m["planned"]["count"].pop(), "not of 256 slices"),
        (
            lambda m: m["planned"]["count"].__setitem__(3, -1),
            "planned.count.3: Input should be greater",
        ),
        (lambda m: m["planned"]["count"].__setitem__(3, 0), "more events delivered than planned"),
        (lambda m: m["sinks"]["stream"]["fingerprint"]["total"].__setitem__(3, "zz" * 8), "zzzz"),
        (lambda m: m.update(sinks={"null": m["sinks"]["stream"]}), "must be of a run that wrote"),
        (lambda m: m["settings"].update(users="many"), "users"),
        (lambda m: m["settings"].update(nonsense=1), "nonsense"),
        (lambda m: m["behaviour"].pop("session"), "session"),
        (lambda m: m.update(t0_wall_ms="soon"), "t0_wall_ms: Input should be a valid integer"),
        (lambda m: m.update(sinks=[1]), "must be"),
    ],
)
def test_what_does_not_fit_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, message: str
) -> None:
    monkeypatch.setattr("loadgen.verifier.manifest_spec.versions", lambda: {"loadgen": "0.1.0"})
    path = changed(run, tmp_path, change)
    with pytest.raises(ManifestError) as refused:
        read_promises([path], "file")
    assert refused.value.exit_code == 2, "1 would say that events are missing"
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_byte_order_mark_in_front_of_a_manifest_is_passed_over(run: Run, tmp_path: Path) -> None:
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + run.manifest.read_bytes())
    assert read_promises([marked], "file")[0].run_id == read_promises([run.manifest], "file")[0].run_id


def test_a_missing_manifest_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ManifestError, match="must be readable"):
            read_promises([path], "file")


def test_a_manifest_may_be_given_once_only(run: Run) -> None:
    with pytest.raises(ManifestError, match="each manifest must be given once"):
        read_promises([run.manifest, run.manifest], "file")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_manifest(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError):
        read_promises([path], "file")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40)
@given(data=st.data())
def test_a_manifest_with_anything_in_any_place_is_read_or_refused(
    run: Run, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = orjson.loads(run.manifest.read_bytes())
    inner: Any = content
    while isinstance(inner, dict) and inner:
        key = data.draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[key], dict) or data.draw(st.booleans()):
            inner[key] = data.draw(JSON)
            break
        inner = inner[key]
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    try:
        path.write_bytes(orjson.dumps(content))
    except orjson.JSONEncodeError:
        return
    found = read_or_refused(path)
    assert str(path) in found if isinstance(found, str) else found.planned.sum() == 300


def read_or_refused(path: Path) -> ManifestSpec | str:
    """What a manifest promises, or why it is refused."""
    try:
        return read_promises([path], "file")[0]
    except LoadgenError as error:
        return str(error)


def test_a_catalogue_that_cannot_be_made_again_is_an_error_with_the_next_step(run: Run, tmp_path: Path) -> None:
    other = Run(changed(run, tmp_path, lambda m: m["catalog"].update(digest="0" * 32)), run.lines)
    assert verified_lines(other, run.lines, tmp_path).findings.is_proved  # that needs no catalogue
    with pytest.raises(ManifestError, match=r"must have digest 0{32}.*pip install faker=="):
        verified_lines(other, run.lines[1:], tmp_path)


def test_a_catalogue_that_was_imported_elsewhere_is_asked_for(run: Run, tmp_path: Path) -> None:
    def import_it(content: dict[str, Any]) -> None:
        content["settings"].update(catalog="mine", tracks=800_000)
        content["catalog"].update(digest="1" * 32)

    other = Run(changed(run, tmp_path, import_it), run.lines)
    with pytest.raises(CatalogError, match="'mine' must have been imported"):
        verified_lines(other, run.lines[1:], tmp_path)


def test_a_fingerprint_that_fits_no_events_is_said_to_be_the_manifests_fault(run: Run, tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        totals = content["sinks"]["stream"]["fingerprint"]["total"]
        at = next(at for at, count in enumerate(content["planned"]["count"]) if count)
        totals[at] = f"{int(totals[at], 16) ^ 1:016x}"

    with pytest.raises(ManifestError, match="fingerprints are not those of the events"):
        verified_lines(Run(changed(run, tmp_path, spoil), run.lines), run.lines, tmp_path)


def test_an_event_that_the_run_did_not_deliver_may_be_absent_or_there(run: Run, tmp_path: Path) -> None:
    lost = run.lines[100]
    virtual_shard = orjson.loads(lost)["userId"] % 256
    place = sum(orjson.loads(line)["userId"] % 256 == virtual_shard for line in run.lines[:100])
    hash_of = int(Reader(KnownNames(None), key=KEY).of_values([lost]).hash[0])

    def undeliver(content: dict[str, Any]) -> None:
        fingerprint = content["sinks"]["stream"]["fingerprint"]
        fingerprint["count"][virtual_shard] -= 1
        fingerprint["total"][virtual_shard] = f"{(int(fingerprint['total'][virtual_shard], 16) - hash_of) % 2**64:016x}"
        content["sinks"]["stream"]["progress"]["absent"] = [f"0 {virtual_shard} {place} 1"]

    other = Run(changed(run, tmp_path, undeliver), run.lines)
    without = [line for line in run.lines if line != lost]
    assert verified_lines(other, run.lines, tmp_path).findings.is_proved
    assert verified_lines(other, without, tmp_path).findings.is_proved
    neighbour = next(line for line in without if orjson.loads(line)["userId"] % 256 == virtual_shard)
    fewer = [line for line in without if line != neighbour]
    assert counts_of(verified_lines(other, fewer, tmp_path)) == {"lost": 1}
    instead = [line for line in run.lines if line != neighbour]
    report = verified_lines(other, instead, tmp_path)
    assert counts_of(report) == {"lost": 1}
    assert [one.expected for one in report.shown] == [neighbour]


def test_the_program_says_all_of_it_in_a_line_and_an_exit_code(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = os.fspath(run.manifest.parent.parent / "events.jsonl")
    assert main(["verify", str(run.manifest), "--files", events]) == 0
    assert "proved: every delivered event is there once" in capsys.readouterr().err
    assert main(["verify", str(run.manifest), "--files", events, "--json", "--quiet"]) == 0
    shown = capsys.readouterr()
    found = orjson.loads(shown.out)
    assert list(found)[:8] == ["verdict", "expected", "found", "lost", "repeated", "altered", "foreign", "out_of_order"]
    assert (found["expected"], found["found"], found["named"]["lost"], shown.err) == (300, 300, [], "")
    (tmp_path / "fewer.jsonl").write_bytes(b"\n".join(run.lines[:-1]))
    assert main(["verify", str(run.manifest), "--files", "fewer.jsonl"]) == 1
    assert "NOT proved: 1 lost" in capsys.readouterr().err
    assert main(["verify", str(run.manifest), "--files", "nowhere.jsonl"]) == 2
    assert "--files 'nowhere.jsonl' must be a file or folder that can be read" in capsys.readouterr().err
    assert main(["verify", "nowhere.json", "--files", events]) == 2
    assert "nowhere.json must be readable" in capsys.readouterr().err
    (tmp_path / "damaged.jsonl.gz").write_bytes(b"\x1f\x8b\x08 this is no gzip")
    assert main(["verify", str(run.manifest), "--files", "damaged.jsonl.gz"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_where_nothing_was_delivered_there_is_nothing_to_prove(run: Run, tmp_path: Path) -> None:
    def deliver_nothing(content: dict[str, Any]) -> None:
        sink = content["sinks"]["stream"]
        content["planned"]["count"] = sink["fingerprint"]["count"] = [0] * 256
        sink["fingerprint"]["total"] = ["0" * 16] * 256

    report = verified_lines(Run(changed(run, tmp_path, deliver_nothing), []), [], tmp_path)
    assert not report.findings.is_proved
    assert report.as_json()["verdict"] == "nothing to prove"
    assert list(report.as_text())[-1].startswith("NOT proved: no event was delivered")


def test_absent_events_are_not_excused_where_the_record_lacks_which_were_given_up(run: Run, tmp_path: Path) -> None:
    absent = run.lines[10]
    virtual_shard, hash_of = (
        orjson.loads(absent)["userId"] % 256,
        int(Reader(KnownNames(None), key=KEY).of_values([absent]).hash[0]),
    )

    def forget(content: dict[str, Any]) -> None:
        fingerprint = content["sinks"]["stream"]["fingerprint"]
        fingerprint["count"][virtual_shard] -= 1
        fingerprint["total"][virtual_shard] = f"{(int(fingerprint['total'][virtual_shard], 16) - hash_of) % 2**64:016x}"
        content["sinks"]["stream"]["progress"].update(complete=False, ended=[" ".join(["0"] * 256)])

    other = Run(changed(run, tmp_path, forget), run.lines)
    assert verified_lines(other, [line for line in run.lines if line != absent], tmp_path).findings.is_proved
    neighbour = next(line for line in run.lines[11:] if orjson.loads(line)["userId"] % 256 == virtual_shard)
    report = verified_lines(other, [line for line in run.lines if line != neighbour], tmp_path)
    assert not report.findings.is_proved
    assert verified_lines(other, run.lines, tmp_path).findings.is_proved
