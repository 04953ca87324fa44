"""Shapes of Locust are those of `loadgen run --shape`."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from loadgen.config.shape_files import shape_spec
from loadgen.scenarios.shapes import ListenerShape, Ramp, Sine, Soak, Spike, Step, shape_class
from loadgen.simulate.shapes import shape_of

RUN_S = 600


def _running(shape: ListenerShape, users: int = 1000, run_s: int | None = RUN_S) -> ListenerShape:
    options = Namespace(num_users=users, run_time=run_s)
    shape.runner = SimpleNamespace(environment=SimpleNamespace(parsed_options=options))  # type: ignore[assignment]
    return shape


@pytest.mark.parametrize("kind", [Ramp, Step, Spike, Soak, Sine])
def test_as_many_users_are_online_as_the_command_line_offers_events(kind: type[ListenerShape]) -> None:
    shape = _running(kind())
    offered = shape_of(shape_spec(kind.shape), 1000.0, float(RUN_S))
    times_s = np.arange(0, RUN_S, 7)
    assert [shape.users_at(at_s) for at_s in times_s.tolist()] == np.rint(offered.rate_at(times_s)).astype(int).tolist()
    assert max(shape.users_at(at_s) for at_s in range(RUN_S)) == pytest.approx(1000, abs=2)


def test_a_shape_ends_with_the_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kind: type[ListenerShape] = Spike  # Locust leaves its shapes' constructor untyped
    shape = _running(kind(), run_s=10)
    monkeypatch.setattr(shape, "get_run_time", lambda: 5.0)
    assert shape.tick() == (1000, 1000.0)
    monkeypatch.setattr(shape, "get_run_time", lambda: 10.0)
    assert shape.tick() is None


def test_a_name_is_its_class_and_a_file_is_a_shape_too(tmp_path: Path) -> None:
    assert type(shape_class("soak")) is Soak
    file = tmp_path / "evening.csv"
    file.write_text("0,0\n60,500\n120,0\n")
    assert _running(shape_class(str(file)), users=200).users_at(60.0) == 200
