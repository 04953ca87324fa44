"""What all tests share: no LOADGEN_* variable of the developer's, and reproducible property tests."""

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.kafka.fake_registry import FakeRegistry, running
from tests.runner.program import stop_all

settings.register_profile(
    "loadgen",
    derandomize=True,
    deadline=None,  # the machine may be busy; pytest-timeout is the limit
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("loadgen")
# where the tests run in the background or under nohup, these are ignored, and the programs they start inherit that
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while the tests are collected, and never look at them again: they live until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Let what was not looked at end like all else."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take LOADGEN_* variables away; those that steer the tests themselves are named TEST_*."""
    for variable in [name for name in os.environ if name.startswith("LOADGEN_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A schema registry of the test's."""
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def no_program_left() -> Iterator[None]:
    """End the programs that a test has started."""
    yield
    stop_all()
