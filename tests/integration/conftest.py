"""The services that these tests share; skipped, with the reason, where Java or Maven is missing."""

import shutil
from collections.abc import Iterator

import pytest

from tests.integration.local import Local

MISSING = [program for program in ("java", "mvn") if shutil.which(program) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs services, and time."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def needs_java() -> None:
    """End a test early where it cannot run."""
    if MISSING:
        pytest.skip(f"needs {' and '.join(MISSING)}: apt install openjdk-17-jre-headless maven")


@pytest.fixture(scope="session")
def one_broker(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A broker with a TLS listener; stopped at the end."""
    local = Local(tmp_path_factory.mktemp("one"), ["--only", "kafka", "--secure"])
    try:
        local.up()
        yield local
    finally:
        local.down()


@pytest.fixture(scope="session")
def three_brokers(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A cluster of three; stopped at the end."""
    local = Local(tmp_path_factory.mktemp("three"), ["--only", "kafka", "--brokers", "3"])
    try:
        local.up()
        yield local
    finally:
        local.down()


@pytest.fixture
def broker(one_broker: Local) -> Local:
    """The broker, up again whatever the test before did to it."""
    one_broker.up()
    return one_broker


@pytest.fixture
def cluster(three_brokers: Local) -> Local:
    """The cluster, all three up again."""
    three_brokers.up()
    return three_brokers
