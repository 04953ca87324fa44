"""A store of files of every kind, as a whole and in part."""

from pathlib import Path

import pytest

from loadgen.store.local import LocalStore
from tests.analyze.mixed_store import DAY_MS, FIRST_DAY, fill
from tests.analyze.reading import figures_of
from tests.analyze.recompute import figures_of_lines


def test_a_store_of_everything_has_the_figures_of_its_lines(tmp_path: Path) -> None:
    lines = fill(LocalStore(tmp_path))
    assert figures_of(tmp_path) == figures_of_lines(lines)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 2), (2, 3)])
def test_a_day_of_it_has_the_figures_of_this_day(first: int, last: int, tmp_path: Path) -> None:
    lines = fill(LocalStore(tmp_path))
    since_ms, until_ms = (FIRST_DAY + first) * DAY_MS, (FIRST_DAY + last) * DAY_MS
    found = figures_of(tmp_path, since_ms=since_ms, until_ms=until_ms)
    unreadable = 3 if first == 1 else 0  # what has no time is of the day whose folder it is in
    assert found == figures_of_lines(lines, since_ms=since_ms, until_ms=until_ms) | {"unreadable": unreadable}
