"""What this computer has, and what is said where it has not."""

import socket
from pathlib import Path

import pytest

from loadgen.doctor import checks
from loadgen.doctor.checks import Mark
from tests.ports import free_port


def test_every_package_is_named_with_its_version() -> None:
    finding = checks.packages()
    assert finding.mark is Mark.GOOD
    assert all(f"{package} " in finding.said for package in checks.PACKAGES)


def test_a_package_that_is_missing_can_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PACKAGES", ("numpy", "no-such-package"))
    finding = checks.packages()
    assert (finding.mark, finding.next_step) == (Mark.BAD, "pip install no-such-package")


def test_too_little_memory_is_said_with_what_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available_bytes", lambda: 200_000_000)
    finding = checks.memory()
    assert (finding.mark, finding.said) == (Mark.BAD, "memory: 0.2 GB available")
    assert "10,000 listeners takes 0.3 GB" in finding.next_step


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("LOADGEN_CACHE", str(tmp_path / "cache"))
    finding = checks.catalog()
    assert finding.mark is Mark.BAD
    assert finding.said.startswith("catalogue: cannot write")


def test_a_cache_that_is_empty_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_CACHE", str(tmp_path))
    finding = checks.catalog()
    assert (finding.mark, "the first run builds it" in finding.said) == (Mark.GOOD, True)


def test_a_port_is_free_or_not() -> None:
    assert checks.port(free_port()).mark is Mark.GOOD
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = checks.port(taken.getsockname()[1])
    assert finding.mark is Mark.BAD
    assert "say --port P" in finding.next_step


def test_a_disk_with_little_room_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 5_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage)
    assert checks.disk().mark is Mark.BAD
