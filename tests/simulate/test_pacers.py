"""A pacer of two methods is checked before a run, and all else follows from them."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from loadgen.config import RunSettings
from loadgen.config.rules import Contradiction
from loadgen.config.shape_files import shape_spec
from loadgen.errors import UsageError
from loadgen.simulate.feed import offered, owned_virtual_shards
from loadgen.simulate.pacers import Pacer, PacerShape, check_pacer, find_pacer
from loadgen.simulate.schedule import NS_PER_S, RateSchedule
from loadgen.simulate.shapes import Floats, Shape, shape_of
from tests.runner.plans import START_MS


@dataclass
class Linear:
    """Always the same rate; options of a command line are texts."""

    per_s: float | str = 100.0

    def integral(self, t_s: Floats) -> Floats:
        return np.asarray(t_s * float(self.per_s))

    def invert(self, k: Floats) -> Floats:
        return np.asarray(k / float(self.per_s))


class Bursts:
    """50 events at once each second, the first after one."""

    def integral(self, t_s: Floats) -> Floats:
        return np.asarray(50.0 * np.maximum(np.ceil(t_s) - 1, 0))

    def invert(self, k: Floats) -> Floats:
        return np.asarray(np.floor(k / 50) + 1.0)


@dataclass
class Made:
    """The methods that a test gives, else those of Linear."""

    integral: Callable[[Floats], Floats] = Linear().integral
    invert: Callable[[Floats], Floats] = Linear().invert


@pytest.mark.parametrize("pacer", [Linear(), Linear(1e6), Linear(1e-3), Bursts(), Shape.constant(3.0)])
def test_a_pacer_whose_methods_agree_is_taken(pacer: Pacer) -> None:
    check_pacer(pacer, "mine", 20.0, 5000)


@pytest.mark.parametrize("name", ["ramp", "step", "spike", "soak", "sine"])
def test_a_shape_is_a_pacer(name: str) -> None:
    check_pacer(shape_of(shape_spec(name), 1000.0, 30.0), name, 30.0)


@pytest.mark.parametrize(
    ("pacer", "message"),
    [
        (Made(integral=lambda t: t * 100 + 5), "integral(0) must be 0, got 5;"),
        (
            Made(integral=lambda t: 100 * t * (t < 5)),
            "integral(5) must be a number, at least 0 and integral(4.99), which is 499, got 0;",
        ),
        (
            Made(integral=lambda t: -t),
            "integral(0.01) must be a number, at least 0 and integral(0), which is -0, got -0.01;",
        ),
        (Made(integral=lambda t: t + np.nan), "integral(0) must be a number, at least 0, got nan;"),
        (Made(integral=lambda t: t[:5]), "integral must return a number for each of 1001, got shape (5,);"),
        (Made(integral=lambda t: 1 / 0 * t), "integral must take an array of float64, got ZeroDivisionError: "),
        (
            Made(invert=lambda k: 10 - k / 100),
            "invert(1) must be a number, at least 0 and invert(0), which is 10, got 9.99;",
        ),
        (Made(invert=lambda k: k / 200), "integral(invert(1)) must be 1, where invert gives 0.005 s, got 0.5001;"),
        (Made(invert=lambda k: k / 50), "integral(invert(1)) must be 1, where invert gives 0.02 s, got 1.9999;"),
    ],
)
def test_a_pacer_that_breaks_a_rule_is_refused_with_the_value(pacer: Pacer, message: str) -> None:
    with pytest.raises(UsageError, match="^" + re.escape("pacer mine: " + message)):
        check_pacer(pacer, "mine", 10.0)


def test_a_worker_gets_its_share_of_the_events_in_the_same_time() -> None:
    settings = RunSettings(users=1000, pacer=Linear(200.0), duration_min=0.5)
    parts = [offered(settings, owned_virtual_shards(0, 1, worker, 3)) for worker in range(3)]
    assert [type(part) for part in parts] == [PacerShape] * 3
    at_s = np.array([0.0, 2.5, 10.0])
    assert np.sum([part.integral(at_s) for part in parts if part], axis=0) == pytest.approx([0, 500, 2000])
    for part in parts:
        assert part is not None
        assert part.integral(part.invert(np.arange(50))) == pytest.approx(np.arange(50))
        assert part.rate_at([1.0, 5.0]) == pytest.approx([part.peak_per_s] * 2)


def test_the_events_of_a_burst_are_due_together() -> None:
    schedule = RateSchedule(7, PacerShape(Bursts()))
    due_s = (schedule.due_ns(np.zeros(120, np.int64)) - 7) / NS_PER_S
    assert due_s.tolist() == [1.0] * 50 + [2.0] * 50 + [3.0] * 20
    assert schedule.scheduled(7 + 2 * NS_PER_S) == 50


class AtOnce:
    """A thousand events at the start, and none after."""

    def integral(self, t_s: Floats) -> Floats:
        return np.where(t_s > 0, 1000.0, 0.0)

    def invert(self, k: Floats) -> Floats:
        return np.where(k < 1000, 0.0, np.inf)


def test_all_events_may_be_due_at_once() -> None:
    check_pacer(AtOnce(), "mine", None, 1000)
    shape = offered(RunSettings(pacer=AtOnce(), events=900))
    assert shape is not None
    assert shape.peak_per_s == pytest.approx(1000 / (0.001 / 10_010))


def test_a_pacer_is_found_by_name_with_its_options_or_taken_as_it_is() -> None:
    assert find_pacer(f"{__name__}:Linear?per_s=7") == Linear("7")
    assert find_pacer(Linear) == Linear()
    assert find_pacer(pacer := Linear(3.0)) is pacer
    with pytest.raises(UsageError, match=r"--pacer tests.simulate.test_pacers:Made must be made from its options"):
        find_pacer("tests.simulate.test_pacers:Made?per_s=1")
    with pytest.raises(UsageError, match="--pacer math:pi must have integral and invert, got float"):
        find_pacer("math:pi")


@pytest.mark.parametrize(
    "other",
    [{"rate": 5.0}, {"rate": "max"}, {"shape": "ramp"}, {"speed": 2.0}, {"find_max_rate": True}, {"end_ms": START_MS}],
)
def test_a_pacer_leaves_nothing_for_another_pace_to_say(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a pacer alone says when events are due") as refused:
        RunSettings.model_validate({"pacer": "mine:Pacer", "start_ms": START_MS - 1, **other})
    assert not isinstance(refused.value, Contradiction)


def test_the_settings_of_a_manifest_name_an_object_by_its_class_and_hide_secrets() -> None:
    public = RunSettings(pacer=Linear(3.0)).public_dict()
    assert public["pacer"] == "tests.simulate.test_pacers:Linear"
    assert RunSettings.from_public(public).pacer == "tests.simulate.test_pacers:Linear"
    assert RunSettings(pacer="a:B?rate=3&token=x").public_dict()["pacer"] == "a:B?rate=3&token=***"
