"""The services that these tests share; skipped, with the reason, where what they need is missing.

TEST_REQUIRE_SERVICES=1 or CI=true turn the skips into failures.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.kafka.embedded import EmbeddedBroker
from tests.integration.local import PROGRAM, Local
from tests.integration.locusts import TOPIC, Locusts

UNPACKED_PROMETHEUS = PROGRAM.parents[2] / "build/services/prometheus/usr/bin/prometheus"
REQUIRED = os.environ.get("TEST_REQUIRE_SERVICES") == "1" or os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs services, and time."""
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def needs_java() -> None:
    """Java, and Maven, which gets the jars."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        do_without(f"needs {' and '.join(missing)}: apt install openjdk-17-jre-headless maven")


@pytest.fixture(scope="session")
def needs_spark(needs_java: None) -> None:
    """PySpark, which is no dependency of loadgen."""
    if importlib.util.find_spec("pyspark") is None:
        do_without("needs pyspark: pip install --requirement deploy/spark/requirements.txt")


@pytest.fixture(scope="session")
def needs_prometheus() -> None:
    """Prometheus, installed or unpacked by .ci/run."""
    if shutil.which("prometheus") is None and not UNPACKED_PROMETHEUS.exists():
        do_without("needs prometheus: apt install prometheus")


@pytest.fixture(scope="session")
def promtool(needs_prometheus: None) -> str:
    """The path of promtool, which comes with Prometheus."""
    return shutil.which("promtool") or str(UNPACKED_PROMETHEUS.with_name("promtool"))


def do_without(reason: str) -> None:
    """End a test that cannot run here."""
    if REQUIRED:
        pytest.fail(f"{reason}, or unset TEST_REQUIRE_SERVICES and CI")
    pytest.skip(reason)


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


@pytest.fixture(scope="session")
def one_hdfs(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A NameNode and a DataNode; stopped at the end."""
    local = Local(tmp_path_factory.mktemp("hdfs"), ["--only", "hdfs"])
    try:
        local.up()
        yield local
    finally:
        local.down()


@pytest.fixture(scope="session")
def one_registry(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """A schema registry; stopped at the end."""
    local = Local(tmp_path_factory.mktemp("registry"), ["--only", "registry"])
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
def hdfs(one_hdfs: Local) -> Local:
    """The file system, up again."""
    one_hdfs.up()
    return one_hdfs


@pytest.fixture
def registry(one_registry: Local) -> Local:
    """The schema registry, up again; what earlier tests have registered may be gone."""
    one_registry.up()
    return one_registry


@pytest.fixture
def cluster(three_brokers: Local) -> Local:
    """The cluster, all three up again."""
    three_brokers.up()
    return three_brokers


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.integration.browser import ARGUMENTS, CHROMIUM

    if not CHROMIUM.exists():
        do_without("needs chromium: apt install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def locusts(tmp_path: Path) -> Iterator[Locusts]:
    """Locust's processes, which end with the test."""
    found = Locusts(tmp_path)
    try:
        yield found
    finally:
        found.stop_all()


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    """A broker in memory, with Locust's topic."""
    with EmbeddedBroker(TOPIC) as broker:
        yield broker
