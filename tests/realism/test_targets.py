"""targets.toml and behaviour.toml say the same; a wrong file of targets is told what is wrong with it."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import UsageError
from loadgen.realism.statistics import STATISTICS
from loadgen.realism.targets import Number, checked, load_targets, shipped
from tests.realism.calibrated import CALIBRATED

BEHAVIOUR = resources.files("loadgen.simulate").joinpath("behaviour.toml").read_text("utf-8")
GOOD = '{ statistic = "likes", published = "1.92 %", low = 0.01, high = 0.03 }'


def file_of(folder: Path, *numbers: str, more: str = "") -> Path:
    """A file with one target of these numbers."""
    path = folder / "targets.toml"
    path.write_text(f'[[targets]]\nname = "n"\nsource = "s"\nhow = "h"\nnumbers = [{", ".join(numbers)}]\n{more}')
    return path


def test_there_are_twenty_targets_that_can_fail_and_every_statistic_is_used_once() -> None:
    targets = load_targets(None).targets
    assert sum(target.is_gated for target in targets) == 20
    used = [number.statistic for target in targets for number in target.numbers]
    assert sorted(used) == sorted(STATISTICS)


def test_every_calibrated_number_names_the_targets_that_it_serves() -> None:
    names = {target.name for target in load_targets(None).targets}
    for one in CALIBRATED:
        key = one.path.rpartition(".")[2].join(("", " ="))
        before, _, after = BEHAVIOUR.partition(f"\n{key}" if f"\n{key}" in BEHAVIOUR else "\n[transitions]")
        comment = before[before.rfind("\n\n") :] + after.partition("\n")[0]
        for name in one.serves:
            assert name in names
            assert name in comment, (one.name, name)


def test_a_band_has_both_ends_in_it() -> None:
    number = Number(statistic="likes", published="x", low=0.01, high=0.02)
    assert [number.passes(value) for value in (0.01, 0.02, 0.0099, 0.0201, None)] == [True, True, False, False, None]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (
            '{ statistic = "lkes", published = "x" }',
            "numbers.0.statistic: unknown statistic; did you mean likes?",
        ),
        ('{ statistic = "likes", published = "x", low = 0.1 }', "low and high go together"),
        ('{ statistic = "likes", published = "x", low = 0.2, high = 0.1 }', "low must not be above high"),
        ('{ statistic = "likes", published = "x", low = nan, high = 0.1 }', "numbers.0.low: Input should be a finite"),
        ('{ statistic = "likes", low = 0.1, high = 0.2 }', "numbers.0.published: Field required"),
        ('{ statistic = "likes", published = "x", hgih = 1 }', "numbers.0.hgih: Extra inputs"),
        ("3", "numbers.0"),
    ],
)
def test_a_wrong_number_is_told_where_it_is(tmp_path: Path, number: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_targets(file_of(tmp_path, GOOD, number) if "numbers.1" in expected else file_of(tmp_path, number))
    assert expected in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_targets(file_of(tmp_path, "{}", '{ statistic = "x", published = "y" }', more="\n[extra]\nx = 1\n"))
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("content", [b"", b"targets = []", b"targets = 3", b"[[targets]]", b"x = [", b"\xff"])
def test_a_file_without_targets_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"t\.toml"):
        load_targets(tmp_path / "t.toml")


def test_two_targets_of_one_name_are_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, GOOD)
    path.write_text(path.read_text() * 2)
    with pytest.raises(UsageError, match="got twice: n; rename one"):
        load_targets(path)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a file is."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


PLACES = [place for place in places(shipped()) if place]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}), st.just([{}])
)


@settings(max_examples=300)
@given(st.sampled_from(PLACES), VALUES)
def test_whatever_stands_in_a_file_it_is_read_or_refused_with_a_reason(place: tuple[Any, ...], value: Any) -> None:
    content = tomllib.loads(resources.files("loadgen.realism").joinpath("targets.toml").read_text("utf-8"))
    *inner, last = place
    inside: Any = content
    for key in inner:
        inside = inside[key]
    inside[last] = value
    assert all(line.startswith("targets file t.toml: ") for line in problems_of(content))


def problems_of(content: dict[str, Any]) -> list[str]:
    """The lines that say what is wrong with a file's content; none where it is taken."""
    try:
        return [] if checked(content, Path("t.toml")).targets else ["no target"]
    except UsageError as error:
        return str(error).splitlines()
