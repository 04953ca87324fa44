"""What the manifest says about the machine: enough to understand latencies, nothing about whose it is."""

import getpass
import platform
from pathlib import Path

import orjson
import pytest

from loadgen.runner import machine as module


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Each test looks anew."""
    module.machine.cache_clear()


def test_the_machine_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Abacus 3000 @ 2 Hz: fast\nprocessor\t: 1\nmodel name\t: other\n")
    monkeypatch.setattr(module, "CPU_INFO", info)
    found = module.machine()
    assert found["processor"] == "Abacus 3000 @ 2 Hz: fast"
    assert found["system"].startswith(platform.system())
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert platform.node() not in orjson.dumps(found).decode()
    assert set(found) == {"system", "processor", "cores", "memory_gib"}
    assert getpass.getuser() not in found.values()


def test_a_system_that_does_not_tell_its_processor_is_described_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CPU_INFO", Path("/nowhere"))
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert module.machine()["processor"] == "unknown"
