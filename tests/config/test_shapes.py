"""Shapes as users write them: by name, in files, in a run's own file; what is wrong with them is said."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.config import RunSettings, resolve
from loadgen.config.shape_files import MAX_FILE_BYTES, NAMED, shape_spec
from loadgen.config.shapes import MAX_POINTS, ShapeSpec
from loadgen.config.values import BadValue
from loadgen.errors import UsageError

PHASES = """
repeat = true
[[phase]]
kind = "ramp"
to = 1
for = "30s"
[[phase]]
kind = "sine"
to = "20k/s"
every = 10
for = "40%"
[[phase]]
kind = "steps"
from = 0.25
to = 1
steps = 4
for = "1m"
[[phase]]
kind = "series"
points = [[5, 0.1], [10, 0.5]]
between = "held"
[[phase]]
kind = "series"
file = "day.csv"
[[phase]]
kind = "hold"
at = "300/min"
for = 20
"""


def written(folder: Path, name: str, content: str | bytes) -> str:
    """A file with this content; its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def settings_of(**flags: Any) -> RunSettings:
    return resolve(RunSettings, flags, {}).settings


def problem(value: Any) -> str:
    """What is said of a shape that is wrong, without the next step."""
    with pytest.raises(BadValue) as caught:
        shape_spec(value)
    assert caught.value.next_step
    return caught.value.rule


@pytest.mark.parametrize("name", NAMED)
def test_every_name_is_a_shape_that_can_be_written_and_read_again(name: str) -> None:
    spec = shape_spec(name)
    assert spec.name == name
    assert shape_spec(json.loads(json.dumps(spec.public()))) == spec
    assert spec.peak == 1


def test_a_file_of_phases_may_hold_all_kinds_and_is_whole_without_it(tmp_path: Path) -> None:
    day, file = written(tmp_path, "day.csv", "0,100\n9,200\n"), written(tmp_path, "x.toml", PHASES)
    spec = shape_spec(file)
    assert [phase.kind for phase in spec.phases] == ["ramp", "sine", "steps", "series", "series", "hold"]
    assert spec.repeats
    assert spec.phases[5].end.public() == "5.0/s"
    assert spec.phases[3].points == ((0.0, 0.1), (5.0, 0.5))
    for path in (day, file):
        Path(path).unlink()
    assert shape_spec(json.loads(json.dumps(spec.public()))) == spec


@pytest.mark.parametrize(
    "content",
    [
        "0,100\n9,200.5\n",
        "seconds,events_per_s\n0,100\n9,200.5\n",
        "\ufefftime;x,rate\n\n 1000 , 100 \n\n1009,2.005e2\n",
        '"0","100"\r\n"9","200.5"\r\n',
        "-9,100\n0,200.5",
    ],
)
def test_a_csv_file_is_a_series_of_seconds_and_events_per_second(tmp_path: Path, content: str) -> None:
    spec = shape_spec(written(tmp_path, "day.csv", content))
    assert spec.is_absolute
    assert spec.phases[0].points == ((0.0, 100.0), (9.0, 200.5))
    assert not spec.phases[0].is_held


def test_a_csv_file_may_say_factors_in_its_header(tmp_path: Path) -> None:
    spec = shape_spec(written(tmp_path, "day.CSV", "s,factor\n0,0.1\n9,1\n"))
    assert not spec.is_absolute
    assert spec.peak == 1


def test_the_shape_stands_in_the_configuration_file_as_a_name_or_as_phases(tmp_path: Path) -> None:
    config = written(tmp_path, "run.toml", 'rate = "1k/s"\n[[run.shape]]\nkind = "hold"\nat = 0.1\nfor = 5\n')
    found = settings_of(config=config).shape
    assert found is not None
    assert found.phases[0].start.value == 0.1
    config = written(tmp_path, "run.toml", 'rate = "1k/s"\n[run]\nshape = "spike"\n')
    assert settings_of(config=config).shape == shape_spec("spike")


def test_settings_keep_the_shape_whole(tmp_path: Path) -> None:
    file = written(tmp_path, "day.csv", "0,100\n9,0.1234567890123456789\n")
    settings = settings_of(shape=file)
    Path(file).unlink()
    assert RunSettings.from_public(json.loads(json.dumps(settings.public_dict()))) == settings


def ends_with(*words: str, **content: Any) -> Any:
    return pytest.param({"phase": [content]}, words, id=words[0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ends_with("phase 1 must say kind", at=1),
        ends_with("kind must be one of hold, ramp, steps, sine, series", "here 'rmap'", kind="rmap"),
        ends_with("phase 1 must say for", kind="hold", at=1),
        ends_with("phase 1 must say at", kind="hold", **{"for": 1}),
        ends_with("phase 1 must say to", kind="ramp", **{"for": 1}),
        ends_with("phase 1 must say steps", kind="steps", to=1, **{"for": 1}),
        ends_with("must have no key 'too'", kind="ramp", too=1, **{"for": 1}),
        ends_with("at must be a factor of --rate", "here '-1'", kind="hold", at=-1, **{"for": 1}),
        ends_with("at must be a factor", "here 'nan'", kind="hold", at=float("nan"), **{"for": 1}),
        ends_with("to must be a factor", "here 'inf'", kind="ramp", to=float("inf"), **{"for": 1}),
        ends_with("to must be a factor of", "here '20k'", kind="ramp", to="20k", **{"for": 1}),
        ends_with("to must be", "here '2G/s'", kind="ramp", to="2G/s", **{"for": 1}),
        ends_with("for must be a duration", "here '0'", kind="hold", at=1, **{"for": 0}),
        ends_with("for must be 0.001%..100% of the run", "here '101%'", kind="hold", at=1, **{"for": "101%"}),
        ends_with("every must be a duration", kind="sine", to=1, every=-3, **{"for": 9}),
        ends_with("phase 1 must say points or file", kind="series"),
        ends_with("must have 2..", kind="series", points=[[0, 1]]),
        ends_with("point 2 must be two numbers", kind="series", points=[[0, 1], [1, "x"]]),
        ends_with("point 2 must be two numbers", kind="series", points=[[0, 1], 7]),
        ends_with("point 3 must be later than the one before it, here 1 s after 2 s", kind="series",
                  points=[[0, 1], [2, 1], [1, 1]]),
        ends_with("rates of 0..1,000 times --rate, here -1", kind="series", points=[[0, 1], [1, -1]]),
        ends_with("between must be one of linear, held", kind="series", points=[[0, 1], [1, 1]], between="x"),
        ends_with("must have a rate above 0", kind="hold", at=0, **{"for": 1}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_phase_is_said_with_its_place(content: Any, words: tuple[str, ...]) -> None:
    said = problem(content)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.toml", "", "1..1000 phases"),
        ("x.toml", "[[phase]", "must be TOML"),
        ("x.toml", "phase = 3", "1..1000 phases"),
        ("x.toml", "phase = [3]", "phase 1 must be a table"),
        ("x.toml", "phases = []", "must have no key 'phases'"),
        ("x.toml", b"\xff\xfe", "must be UTF-8"),
        ("x.toml", '[[phase]]\nkind = "series"\nfile = "gone.csv"', "phase 1 must be a file that is there"),
        ("x.toml", '[[phase]]\nkind = "series"\nfile = 7', "phase 1 must be the path"),
        ("x.csv", "", "at least two points, has 0"),
        ("x.csv", "seconds,events_per_s\n", "at least two points, has 0"),
        ("x.csv", "0,5\n", "at least two points, has 1"),
        ("x.csv", "0,5\n1,nan\n", "point 2 must be two numbers"),
        ("x.csv", "0,5\n1,-2\n", "0..1,000,000,000 events/s, here -2"),
        ("x.csv", "0,5\n2,5\n1,5\n", "point 3 must be later"),
        ("x.csv", "0,5\n0,6\n", "point 2 must be later"),
        (
            "x.csv",
            "0,5,6\n1,5,6\n",
            "line 1 must be two numbers, here '0,5,6'",
        ),
        ("x.csv", "seconds;events_per_s\n0;100\n30;200\n", "line 2 must be two numbers, here '0;100'"),
        ("x.csv", "seconds,events_per_s\n\n0,100\n30,x\n", "line 4 must be two numbers, here '30,x'"),
        ("x.csv", "0\t100\n30\t200\n", "line 1 must be two numbers"),
        ("x.csv", "0,0\n1,0\n", "a rate above 0"),
        ("x.csv", b"0,5\n1,\x00\n", "line 2 must be two numbers"),
        ("x.csv", "0,5\n" * (MAX_POINTS + 1), "2..100,000 points"),
        ("x.csv", b"1" * (MAX_FILE_BYTES + 1), "at most 8 MiB"),
        ("x.csv", '0,"' + "5" * 200_000, "comma-separated"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    said = problem(written(tmp_path, name, content))
    assert said.startswith(f"in {name}:"), said
    assert words in said, said


def test_there_are_only_so_many_pieces_in_all() -> None:
    steps = {"kind": "steps", "to": 1, "steps": 1000, "for": 1}
    assert len(shape_spec([steps] * 100).phases) == 100
    assert problem([steps] * 101) == "must have at most 100,000 points and steps in all"


def test_files_that_are_none_are_said_too(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "folder.csv", tmp_path / "gone.toml", tmp_path / ("x" * 300 + ".csv"), "/dev/null/x.csv"):
        assert "a file that is there" in problem(str(path)) or "must be readable" in problem(str(path))
    assert "spike" in problem("spkie")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"shape": "spike"}, "a shape needs a rate"),
        ({"shape": "spike", "rate": "max"}, "a shape needs a rate"),
        ({"shape": "spike", "rate": "5/s", "end": "2199-12-31"}, "a backfill is not paced"),
        ({"preview": True}, "a preview shows a rate"),
        ({"find_max_rate": True, "rate": "max"}, "begins at a rate"),
        ({"find_max_rate": True, "events": "5"}, "lasts --duration"),
        ({"find_max_rate": True, "shard": "0/2"}, "one machine"),
        ({"find_max_rate": True, "output": "x"}, "its own output"),
        ({"find_max_rate": True, "speed": "2"}, "sets the rate"),
    ],
)
def test_what_does_not_go_together_with_a_shape_is_said(flags: dict[str, Any], words: str) -> None:
    names = {"end": "end_ms"}
    with pytest.raises(UsageError, match=words):
        settings_of(**{names.get(name, name): value for name, value in flags.items()})


def test_a_shape_of_its_own_rates_cannot_be_sped_up(tmp_path: Path) -> None:
    file = written(tmp_path, "day.csv", "0,100\n9,200\n")
    with pytest.raises(UsageError, match="a shape already sets"):
        settings_of(shape=file, speed="3")


scalars = st.one_of(
    st.sampled_from(["hold", "ramp", "steps", "sine", "series", "20k/s", "40%", "30s", "1e-300/s", "x", "", "held", 1]),
    st.floats(),
    st.integers(-3, 2000),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
)
keys = st.sampled_from(
    ["kind", "at", "from", "to", "for", "steps", "every", "points", "file", "levels", "between", "x"]
)
tables = st.dictionaries(keys, scalars | st.lists(st.lists(scalars, max_size=3), max_size=4), max_size=6)
right = st.fixed_dictionaries(
    {"kind": st.sampled_from(["hold", "ramp", "steps", "sine", "series"])},
    optional={
        "at": st.floats(0, 1000) | st.just("3/s"),
        "from": st.floats(0, 1000),
        "to": st.floats(0, 1000) | st.just("20k/s"),
        "for": st.floats(0.001, 1e9) | st.just("40%"),
        "steps": st.integers(1, 1000),
        "every": st.just("1%"),
        "points": st.just([[0, 1], [2, 3]]),
    },
)
anything = st.one_of(
    scalars,
    st.lists(right | tables | scalars, max_size=4),
    st.dictionaries(st.sampled_from(["phase", "repeat", "name"]), st.lists(right | tables, max_size=3) | scalars),
)


def as_spec(value: Any) -> ShapeSpec | None:
    """The shape, which can be written and read again; None where it is bad."""
    try:
        spec = shape_spec(value)
    except BadValue:
        return None
    assert shape_spec(json.loads(json.dumps(spec.public()))) == spec
    return spec


@given(anything)
@settings(max_examples=500)
def test_whatever_stands_for_a_shape_is_one_or_a_bad_value(value: Any) -> None:
    as_spec(value)


@given(st.binary(max_size=60) | st.text('0123456789,.-e\n"nai ', max_size=60).map(str.encode), st.booleans())
@settings(max_examples=300)
def test_whatever_is_in_a_file_is_a_shape_or_a_bad_value(content: bytes, is_csv: bool) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv" if is_csv else ".toml") as file:
        file.write(content)
        file.flush()
        as_spec(file.name)


def test_a_byte_order_mark_in_front_of_a_shape_is_passed_over(tmp_path: Path) -> None:
    assert shape_spec(written(tmp_path, "day.csv", "\ufeff0,100\r\n9,200\r\n")) is not None
    assert shape_spec(written(tmp_path, "x.toml", "\ufeff" + PHASES)) is not None


def test_a_wrong_line_of_a_series_is_answered_with_a_line_of_csv(tmp_path: Path) -> None:
    with pytest.raises(BadValue) as refused:
        shape_spec(written(tmp_path, "day.csv", "seconds;events_per_s\n0;100\n30;200\n"))
    assert refused.value.next_step == "write seconds, a comma and events per second on each line, such as 30,12000"
