"""Kafka and HDFS for the tests in this folder, and the dice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.chaos.programs import kill_all
from tests.integration.chaos.scale import KILLS, SEEDS
from tests.integration.chaos.scene import Scene
from tests.integration.local import Local

TIMEOUT_S = 180 + 15 * KILLS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These take longer the more is killed; the first mark counts."""
    for item in items:
        if "chaos" in item.path.parts:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S), append=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test once for each seed; the seed is in its name."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS, ids=[f"seed={seed}" for seed in SEEDS])


@pytest.fixture(autouse=True)
def no_consumer_left() -> Iterator[None]:
    """End the programs that a test has started."""
    yield
    kill_all()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic's name that says which test it is."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:180].strip("-")


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, broker: Local, topic: str, seed: int) -> Scene:
    """With a store in a local folder, or on HDFS where the test's parameter says so."""
    if getattr(request, "param", "folder") == "folder":
        return Scene(tmp_path, broker.brokers, topic, str(tmp_path / "store"), seed)
    far: Scene = request.getfixturevalue("far_scene")
    return far


@pytest.fixture
def far_scene(tmp_path: Path, broker: Local, hdfs: Local, topic: str, seed: int) -> Scene:
    """With a store on HDFS."""
    return Scene(tmp_path, broker.brokers, topic, f"hdfs://127.0.0.1:{hdfs.hdfs_port}/{topic}", seed)
