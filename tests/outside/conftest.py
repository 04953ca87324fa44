"""The package of this folder, installed."""

from pathlib import Path

import pytest

from tests.outside.journey import install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which it is installed; for PYTHONPATH."""
    return install(tmp_path_factory.mktemp("installed"))
