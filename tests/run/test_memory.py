"""A population that does not fit is refused before it is built, with the number that does."""

import re

import pytest

from loadgen.errors import NotEnoughMemory
from loadgen.run.memory import available_bytes, check_memory, needed_bytes


def test_the_number_that_fits_is_named_and_does_fit() -> None:
    available = needed_bytes(1_000_000, 4)
    with pytest.raises(NotEnoughMemory, match="10,000,000 users in 4 workers") as refused:
        check_memory(10_000_000, 4, available)
    found = re.search(r"--users (\d+) fits", str(refused.value))
    assert found is not None
    check_memory(int(found[1]), 4, available)
    with pytest.raises(NotEnoughMemory):
        check_memory(int(found[1]) + 1, 4, available)


def test_where_not_even_the_workers_fit_the_advice_is_fewer_workers() -> None:
    with pytest.raises(NotEnoughMemory, match="lower --workers"):
        check_memory(1, 8, 100_000_000)


def test_this_machine_has_room_for_a_thousand_listeners() -> None:
    check_memory(1000, 1, available_bytes())
