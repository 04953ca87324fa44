"""What a pipeline says of itself reaches its dashboard whole and of now, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.dashboard.answers import FRESH_S, Flow, read_flow

FLOW = Flow(sent=10, stored=None, lag=0, is_timed=True, is_over=False, written_s=1000.0)


def test_what_is_written_is_read_again_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    FLOW.write(tmp_path / "flow")
    assert read_flow(tmp_path / "flow", 1000.0 + FRESH_S) == FLOW
    assert [path.name for path in tmp_path.iterdir()] == ["flow"]


def test_what_a_pipeline_said_long_ago_is_not_told_unless_it_was_the_last_word(tmp_path: Path) -> None:
    FLOW.write(tmp_path / "flow")
    assert read_flow(tmp_path / "flow", 1000.0 + FRESH_S + 1) is None
    replace(FLOW, is_over=True).write(tmp_path / "flow")
    assert read_flow(tmp_path / "flow", 5000.0) == replace(FLOW, is_over=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"sent":1}', "null"])
def test_a_file_that_says_nothing_of_a_pipeline_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "flow").write_text(text)
    assert read_flow(tmp_path / "flow", 0.0) is None
    assert read_flow(tmp_path / "missing", 0.0) is None
