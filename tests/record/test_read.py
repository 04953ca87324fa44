"""Manifests of all ages are read, what is none is refused with its next step, and nothing ends in a traceback."""

import copy
import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadgen.errors import ManifestError
from loadgen.record import MANIFEST_VERSION, MOST_BYTES, RunRecord, read
from loadgen.report.compare import as_json, as_text, missing, notes
from loadgen.report.figures import differences
from loadgen.report.page import page_of
from loadgen.verifier.manifest_spec import read_promises
from tests.report.manifests import manifest, summary, window

KEPT = Path(__file__).parent / "kept"
"""A manifest of each version, as the loadgen of its time wrote it: 200 events to one file."""
N_RANDOM = int(os.environ.get("TEST_FUZZ", "1000"))
"""How many broken manifests are tried."""
TIMEOUT_S = 60 + N_RANDOM // 20


def written(folder: Path, content: Any) -> Path:
    """A file with this content."""
    path = folder / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return path


def kept(folder: Path, number: int) -> Path:
    """The manifest of this version."""
    return written(folder, gzip.decompress((KEPT / f"version_{number}.json.gz").read_bytes()))


def test_a_manifest_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path, manifest())
    run = read(path)
    assert (run.name, run.path, run.seed, run.is_summary) == ("20261122-101500-3fa9", str(path), 7, False)
    assert (len(run.history), run.history[3].delivered, run.history[3].middle_s) == (20, 997, 3.5)
    assert run.primary_sink is not None
    assert run.primary_sink.by_page["delivered"] == manifest()["sinks"]["kafka"]["by_page"]["delivered"]
    assert (run.summary.achieved_per_s, run.summary.intended_to_ack_ms.max) == (999.5, 1234.5)


def test_a_byte_order_mark_in_front_of_a_manifest_is_passed_over(tmp_path: Path) -> None:
    whole = read(written(tmp_path, manifest()))
    assert read(written(tmp_path, b"\xef\xbb\xbf" + orjson.dumps(manifest()))) == whole


def test_what_json_printed_is_read_as_a_run_without_settings(tmp_path: Path) -> None:
    run = read(written(tmp_path, summary(manifest="loadgen_runs/r1.json")))
    assert (run.is_summary, run.name, run.settings, run.history) == (True, "r1", {}, [])
    assert run.summary.delivered == 20_000


@pytest.mark.parametrize("number", range(1, MANIFEST_VERSION + 1))
def test_a_manifest_of_each_version_is_read_compared_and_shown(tmp_path: Path, number: int) -> None:
    run = read(kept(tmp_path, number))
    assert (run.manifest_version, run.seed, run.summary.planned, run.summary.delivered) == (number, 5, 200, 200)
    assert run.primary_sink is not None
    assert run.primary_sink.fingerprint is not None
    assert sum(run.primary_sink.fingerprint.count) == 200
    assert sum(run.primary_sink.by_page.get("delivered", {}).values()) == (0 if number == 1 else 200)
    assert [sink.delivered for worker in run.workers for sink in worker.sinks.values()] == [100, 100]
    assert [run.planned is not None, run.primary_sink.progress is not None] == [number >= 2, number >= 3]
    assert missing(run) == (["history", "by_page", "histograms", "machine"] if number == 1 else [])
    assert next(one for one in differences(run, run) if one.figure.key == "delivered").judgement == "equal"
    assert "200" in page_of([run])


@pytest.mark.parametrize(("number", "lacks"), [(1, "how many events of each virtual shard"), (2, "how far each sink")])
def test_what_a_manifest_of_a_former_version_cannot_prove_is_named(tmp_path: Path, number: int, lacks: str) -> None:
    said = rf"must have version 3, got {number}, which does not say {lacks}.*nothing can be proved.*; verify it with"
    with pytest.raises(ManifestError, match=said):
        read_promises([kept(tmp_path, number)], "file")


def test_what_json_printed_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="must be a manifest, got what loadgen run --json printed"):
        read_promises([written(tmp_path, summary())], "file")


@pytest.mark.parametrize(
    ("reason", "is_complete"),
    [
        ("duration", True),
        ("terminated early", False),  # a signal ended it: its time is not up
        ("interrupted early", False),
        ("terminated", False),  # one without an end of its own
        ("error", False),
    ],
)
def test_a_run_is_complete_when_its_time_was_up_and_not_when_it_was_stopped_or_goes_on(
    tmp_path: Path, reason: str, is_complete: bool
) -> None:
    said = summary(exit_reason=reason)
    assert read(written(tmp_path, manifest(summary=said))).is_complete == is_complete
    assert not read(written(tmp_path, manifest(summary=said, reached="run.json.reached"))).is_complete


def test_every_seed_that_a_run_takes_is_read(tmp_path: Path) -> None:
    largest = 2**64 - 1
    assert read(written(tmp_path, manifest(seed=largest, summary=summary(seed=largest)))).seed == largest


def test_a_manifest_without_what_came_later_is_read(tmp_path: Path) -> None:
    old = manifest(summary=summary())
    for name in ("history", "machine", "schedule_lag", "workers"):
        del old[name]
    for name in ("thresholds", "stalls", "measured_from_s", "restarts", "impaired"):
        del old["summary"][name]
    run = read(written(tmp_path, old))
    assert (run.history, run.machine, run.spread("schedule_lag"), run.summary.thresholds) == ([], {}, None, [])
    assert run.spread("ack") is not None


def test_the_histograms_leave_the_warm_up_out_where_the_manifest_does(tmp_path: Path) -> None:
    whole = manifest()
    without = {**whole, "measured": {"ack": {"buckets": [640], "counts": [5], "sum_s": 0.1, "max_s": 0.002}}}
    spread = read(written(tmp_path, without)).spread("ack")
    assert spread is not None
    assert spread.counts == [5]
    lag = read(written(tmp_path, without)).spread("schedule_lag")
    assert lag is not None
    assert lag.counts == whole["schedule_lag"]["counts"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be JSON as loadgen run wrote it"),
        (b'{"summary": NaN}', "must be JSON as loadgen run wrote it"),
        (b"\xff\xfe{}", "must be JSON as loadgen run wrote it"),
        (b"[" * 100_000, "must be JSON as loadgen run wrote it"),
        ([], "must be one JSON object, got list"),
        ({}, "summary.planned: Field required"),
        ({"manifest_version": 3}, "summary: Field required"),
        (manifest(manifest_version=4), "must be a manifest of version 3 at most, got 4; read it with the version"),
        (manifest(summary={}), "summary.planned: Field required"),
        (manifest(summary=summary(planned=-1)), "summary.planned: Input should be greater than or equal to 0"),
        (manifest(summary=summary(planned=True)), "summary.planned: Input should be a valid integer"),
        (manifest(summary=summary(achieved_per_s="many")), "summary.achieved_per_s: Input should be a valid number"),
        (b'{"planned": 1, "delivered": 1, "elapsed_s": 1e999, "achieved_per_s": 1}', "JSON"),
        (manifest(history={}), "history: Input should be a valid list"),
        (manifest(history=[window(0, end_s=0.0)]), "history.0: Value error, must end a millisecond after its start"),
        (manifest(history=[window(place % 100) for place in range(20_001)]), "at most 20000 items"),
        (manifest(schedule_lag={"buckets": [1, 1], "counts": [1, 1]}), "buckets in ascending order"),
        (manifest(schedule_lag={"buckets": [1, 2], "counts": [1]}), "as many counts as buckets"),
        (manifest(schedule_lag={"buckets": [9999], "counts": [1]}), "schedule_lag.buckets.0"),
        (manifest(t0_wall_ms=10**17), "t0_wall_ms"),
        (manifest(planned={"slices": 256, "count": [1] * 255}), "planned: Value error, counts that are not of 256"),
        ({"ledger_version": 1, "summary": summary()}, "must be of loadgen run, got the ledger of a test with Locust"),
        (manifest(settings=None), "settings: Input should be a valid dictionary"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason_and_next_step(tmp_path: Path, content: Any, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ManifestError) as refused:
        read(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message
    assert len(message) < 600
    assert refused.value.exit_code == 2
    assert "name the file that loadgen run wrote" in message or "with the version of loadgen" in message


def test_a_file_that_is_not_there_or_a_folder_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no\.json must be readable: No such file or directory; check the path"):
        read(tmp_path / "no.json")
    with pytest.raises(ManifestError, match="must be readable: Is a directory"):
        read(tmp_path)
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(ManifestError, match="must be at most 256 MiB, got more"):
        read(large)


STRANGE: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2**63,
        2**64 - 1,
        1e-300,
        1e300,
        -0.0,
        "",
        "x" * 3000,
        "<script>",
        "\x1b[31m",
        "\u202e",
        "\0",
    ),
    *([], {}, [[]], {"a": {"b": []}}, [None] * 50, {"": None}, "2026-01-01", "***", [0.5], {"p50": "1"}),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a manifest; of lists the first three items."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value[:3]))
    own = [(*path, key) for key, _ in items]
    return own + [found for key, one in items for found in _places(one, (*path, key))]


def _spoilt(text: bytes, places: list[tuple[Any, ...]], chance: random.Random) -> bytes:
    """A manifest with up to three values replaced or taken away, or with bytes changed."""
    if chance.random() < 0.2:
        broken = bytearray(text)
        for _ in range(chance.randint(1, 5)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        return bytes(broken[: chance.randint(1, len(broken))] if chance.random() < 0.3 else broken)
    content = orjson.loads(text)
    for _ in range(chance.randint(1, 3)):
        *above, last = chance.choice(places)
        at = content
        try:
            for key in above:
                at = at[key]
            if chance.random() < 0.2:
                del at[last]
            else:
                at[last] = copy.deepcopy(chance.choice(STRANGE))
        except (KeyError, IndexError, TypeError):  # replaced already
            continue
    return json.dumps(content).encode()


@pytest.mark.timeout(TIMEOUT_S)
def test_whatever_is_in_the_file_it_is_read_and_shown_or_refused(tmp_path: Path) -> None:
    """Of those that are read, each hundredth becomes a page too: it takes a second for a hundred of them."""
    good = read(written(tmp_path, manifest()))
    contents = [manifest(history=[window(place) for place in range(3)]), summary()]
    texts = [orjson.dumps(content) for content in contents]
    places = [_places(content) for content in contents]
    chance = random.Random(6)
    n_read, n_lines = 0, set[int]()
    for _ in range(N_RANDOM):
        which = chance.random() < 0.2
        path = written(tmp_path, _spoilt(texts[which], places[which], chance))
        try:
            run: RunRecord = read(path)
        except ManifestError as error:
            n_lines.add(len(str(error).splitlines()))
            continue
        n_read += 1
        orjson.dumps(as_json(run, good))
        list(notes(good, run))
        if n_read % 20 == 1:
            assert "\x1b" not in as_text(good, run, 100)
        if n_read % 100 == 1:
            assert page_of([run]).startswith("<!doctype html>")
            assert page_of([good, run]).startswith("<!doctype html>")
    assert n_lines == {1}
    assert N_RANDOM // 10 < n_read < N_RANDOM
