"""What the producers of a pipeline have written down decides whether they are done."""

from pathlib import Path

import orjson
import pytest

from loadgen.pipeline.ending import COUNTS, producer_manifest


@pytest.mark.parametrize(
    ("reason", "is_over"),
    [
        ("duration", True),
        ("terminated early", False),  # somebody else sent it a signal: its time is not up
        ("interrupted early", False),
        ("terminated", False),  # one that goes on until the pipeline says so
        ("error", False),
    ],
)
def test_a_producer_is_done_when_its_time_was_up_and_not_when_somebody_stopped_it(
    tmp_path: Path, reason: str, is_over: bool
) -> None:
    path = tmp_path / "producer-1.json"
    summary = dict.fromkeys(COUNTS, 0) | {"elapsed_s": 3.0, "exit_reason": reason}
    path.write_bytes(orjson.dumps({"summary": summary}))
    manifest = producer_manifest(path)
    assert manifest is not None
    assert manifest.is_over == is_over
    path.write_bytes(orjson.dumps({"summary": summary, "reached": "producer-1.json.reached"}))
    manifest = producer_manifest(path)
    assert manifest is not None
    assert not manifest.is_over
