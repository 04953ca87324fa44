"""Installs the package of this folder as its users would."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the package is installed; for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    words = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--target")
    subprocess.run([sys.executable, "-m", "pip", "install", *words, str(folder), str(HERE)], check=True, timeout=50)
    return folder
