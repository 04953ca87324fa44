"""A package of others goes through a real broker with all that it adds to loadgen."""

from pathlib import Path

from tests.integration.local import Local
from tests.outside.journey import install, journey


def test_all_of_the_package_goes_through_a_real_topic(tmp_path: Path, broker: Local) -> None:
    installed = install(tmp_path / "installed")
    journey(tmp_path, installed, broker.brokers, ("--create-topic", "--replication-factor", "1"))
