"""The line that a person sees while a pipeline runs."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from loadgen.config import PipelineSettings
from loadgen.consume.commits import TopicIdentity
from loadgen.kafka.options import KafkaSettings
from loadgen.pipeline import screen as screen_module
from loadgen.pipeline.figures import Figures
from loadgen.pipeline.prepare import PipelineContext
from loadgen.pipeline.screen import Screen
from loadgen.store.local import LocalStore


def clocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: float | bool) -> list[str]:
    """The clock in each line of a pipeline that starts for 20 s, produces for 70 s and then ends for 30 s."""
    now_s, figures = [100.0], Figures()
    monkeypatch.setattr(screen_module.time, "monotonic", lambda: now_s[0])
    screen = Screen(PipelineSettings.model_validate(settings))
    for tick in range(1, 13):
        now_s[0] += 10.0
        figures.sent.latest = int(tick > 1)
        screen.progress(figures, "storing what was sent" if tick > 9 else "")
    return [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()]


def test_how_long_a_pipeline_goes_on_is_shown_as_it_was_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Mock(spec=TopicIdentity)
    ground = PipelineContext(tmp_path, KafkaSettings("b:1", "t"), 4, source, {}, LocalStore(str(tmp_path)), "g", True)
    Screen(PipelineSettings.from_public({"duration": "1m30s"})).ground(ground)
    assert "10,000 listeners, natural rate, 1m30s" in capsys.readouterr().err


def test_the_clock_does_not_count_beyond_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = clocks(monkeypatch, capsys, duration_min=1)
    assert shown[:4] == ["00:00 of 01:00", "00:00 of 01:00", "00:10 of 01:00", "00:20 of 01:00"]
    assert shown[7:] == ["01:00 of 01:00"] * 5


def test_without_a_duration_the_clock_stands_still_while_the_rest_is_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = clocks(monkeypatch, capsys, continuous=True)
    assert shown[7:] == ["01:00", "01:10", "01:20", "01:20", "01:20"]
