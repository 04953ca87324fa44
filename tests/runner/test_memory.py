"""A population that does not fit is refused before it is built, with the number that does."""

import re
from pathlib import Path

import psutil
import pytest

from loadgen.errors import NotEnoughMemory
from loadgen.runner.machine import available_bytes, check_memory, needed_bytes


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


@pytest.mark.parametrize(
    ("limits", "available"),
    [
        ({}, 1024 * 1024),
        ({"memory.max": "max"}, 1024 * 1024),
        ({"memory.max": "2000000"}, 1024 * 1024),
        ({"memory.max": "500000"}, 500_000),
        ({"memory/memory.limit_in_bytes": "400000"}, 400_000),
    ],
)
def test_what_is_available_is_the_kernels_estimate_or_the_containers_limit(
    limits: dict[str, str], available: int, tmp_path: Path
) -> None:
    files = {"proc/meminfo": "MemTotal:     4096 kB\nMemFree:       10 kB\nMemAvailable:    1024 kB\n"}
    for name, text in (files | {f"sys/fs/cgroup/{name}": limit for name, limit in limits.items()}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == available


def test_of_this_machine_some_memory_is_available_and_not_more_than_it_has() -> None:
    assert 0 < available_bytes() < psutil.virtual_memory().total


def test_where_the_system_does_not_say_what_is_available_everything_fits(tmp_path: Path) -> None:
    check_memory(10_000_000, 64, available_bytes(tmp_path))
