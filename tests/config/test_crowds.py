"""[[run.crowd]]: what is taken, and what each wrong table is answered."""

from pathlib import Path
from typing import Any

import pytest

import loadgen
from loadgen.cli.command import as_toml
from loadgen.config import RunSettings, resolve
from loadgen.config.settings.replay import ReplaySettings
from loadgen.errors import UsageError

A, B = {"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}
RATED = [{**A, "rate": 100}, {**B, "rate": 50}]
TWO = """
[run]
rate = "20k/s"
[[run.crowd]]
name = "commuters"
share = "2/3"
shape = "spike"
stop = "30s"
[[run.crowd]]
name = "sleepers"
share = "1/3"
profile = "sleepy-sunday"
start = 5
"""


def refused(crowds: Any, **others: Any) -> list[str]:
    """The lines of the error that these crowds cause."""
    with pytest.raises(UsageError) as error:
        resolve(RunSettings, {"crowd": crowds, "discard": True, **others}, {})
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("crowds", "others", "said"),
    [
        ([A, {**B, "share": 0.4}], {}, "the shares of the crowds must add up to 1, here 0.9; give b 0.5"),
        ([A, {**B, "name": "a"}], {}, "crowd 2 must have a name of its own, here 'a' again; rename one of the two"),
        ([A, {**B, "start": 9, "stop": 9}], {}, "crowd 2 (b) must start before it stops, here start 9 s and stop 9 s"),
        (
            [A, {**B, "profile": "sleepy"}],
            {},
            "crowd 2 (b) profile must be one of default,; did you mean sleepy-sunday?",
        ),
        ([A, B, {**B, "name": "c"}], {"users": 2}, "must add up to 1, here 1.5; lower some of them"),
        ([A, B], {"users": 1, "workers": 1}, "each crowd needs a listener; raise users to 2 or more"),
        ([{**A, "share": 0.999}, {**B, "share": 0.001}], {"users": 9}, "each crowd needs a listener, b has none"),
        ([{"name": "a", "users": 4}, {"name": "b", "users": 5}], {"users": 10}, "here 9; write users = 9"),
        ([A, {"name": "b", "users": 5}], {}, "each crowd says share, or each says users; say the same of all"),
        ([{**A, "users": 5}, B], {}, "crowd 1 (a) must say share or users; add share = 0.5, or users = 500; not both"),
        ([{"share": 1}], {}, 'crowd 1 must have a name; add name = "commuters"'),
        ([{"name": "a b", "share": 1}], {}, "crowd 1 name must be 1..40 letters, digits, dots, - and _; for example"),
        ([{**A, "shares": 1}, B], {}, "crowd 1 (a) must have no key 'shares'; did you mean share?"),
        (
            [{**A, "share": 0}, B],
            {},
            "crowd 1 (a) share must be a part of the listeners, above 0 and at most 1, here '0'",
        ),
        ([{**A, "rate": "max"}, B], {}, "crowd 1 (a) rate must be a number of events per second, here 'max'"),
        ([{**A, "shape": "spikes"}, B], {"rate": 9}, "crowd 1 (a) shape must be constant; did you mean spike?"),
        ("crowds.toml", {}, "crowd must be tables in a file, got 'crowds.toml' (from --crowd); write [[run.crowd]]"),
        ([A] * 17, {}, "crowd must be 16 tables at most, here 17; put some of them together"),
        (RATED, {"rate": "1k"}, "crowd a has a rate of its own, and all crowds one together; keep one of the two"),
        ([RATED[0], B], {}, "each crowd needs a rate where one has one, b has none; give each a rate"),
        (RATED, {"find_max_rate": True}, "find-max-rate sets the rate of all crowds; give shares alone"),
        (RATED, {"speed": 60}, "the rates of crowds set how fast simulated time goes; leave speed out"),
        (
            [{**A, "shape": "spike"}, B],
            {},
            "a shape needs a rate, of which it is a part, crowd a has none; or add --rate",
        ),
        (RATED, {"end_ms": "+1d"}, "crowd a has no rate, shape, start or stop; leave these out, or pace the run"),
        ([{**A, "start": 5}, B], {"rate": "max"}, "crowd a has no rate, shape, start or stop; --rate 10k/s"),
        ([{**A, "start": 60}, B], {}, "crowd a must start before the run ends, here after 60 s; or raise --duration"),
        ([{**A, "stop": 9}, {**B, "stop": 5}], {"duration_min": "10s"}, "until the run ends; --duration 9s"),
        ([{**A, "stop": 9}, {**B, "stop": 5}], {"continuous": True}, "some crowd must last until the run ends"),
        ([A, B], {"threshold": "failed(crowd=bb) == 0"}, "a crowd of the run, not 'bb'; did you mean b?"),
        ([], {"threshold": "failed(crowd=b) == 0"}, "a crowd of the run, not 'b'; write [[run.crowd]]"),
    ],
)
def test_what_is_wrong_is_said_with_the_crowd_and_the_next_step(crowds: Any, others: dict[str, Any], said: str) -> None:
    lines = refused(crowds, **others)
    rule, _, step = said.partition("; ")
    assert any(all(part in line for part in (rule, step)) for line in lines), lines


def test_a_file_says_where_a_bad_crowd_stands_and_what_is_resolved_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(TWO.replace('"2/3"', "7"))
    with pytest.raises(
        UsageError, match=r"share must be a part of the listeners.*\(from crowd in .*bad.toml \[run\]\)"
    ):
        resolve(RunSettings, {"config": str(tmp_path / "bad.toml")}, {})
    (tmp_path / "two.toml").write_text(TWO)
    first = resolve(RunSettings, {"config": str(tmp_path / "two.toml"), "discard": True}, {})
    (tmp_path / "resolved.toml").write_text(as_toml(first, {}))
    second = resolve(RunSettings, {"config": str(tmp_path / "resolved.toml")}, {}).settings
    assert first.settings.crowd == second.crowd
    assert [str(crowd.share) for crowd in second.crowd] == ["2/3", "1/3"]
    assert RunSettings.from_public(second.public_dict()).crowd == second.crowd


def test_crowds_that_all_stop_end_a_run_of_no_other_length() -> None:
    crowds = [{**A, "stop": "90s"}, {**B, "stop": 5}]
    assert resolve(RunSettings, {"crowd": crowds, "discard": True}, {}).settings.duration_s == 90


def test_a_replay_has_no_crowds_whose_figures_could_be_kept() -> None:
    flags = {"sources": ["x.jsonl"], "discard": True, "threshold": ["failed(crowd=a) == 0"]}
    with pytest.raises(UsageError, match="a threshold must name a crowd of the run, not 'a'"):
        resolve(ReplaySettings, flags, {})


def test_a_caller_of_the_library_gives_dicts() -> None:
    with pytest.raises(UsageError, match="a run as fast as possible has no times"):
        loadgen.events(users=10, events=5, crowd=RATED)
    assert loadgen.events(users=10, events=5, crowd=[A, B]).settings.crowd[1].name == "b"
