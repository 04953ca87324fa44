"""Which services are started: the usual ones, or those that are named, once or in a list."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import ROOT


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with Java and jars, and without Prometheus."""
    monkeypatch.setattr(sys, "modules", dict(sys.modules))  # its modules have common names
    monkeypatch.syspath_prepend(ROOT / "deploy/local")
    module: Any = importlib.import_module("services")
    (tmp_path / "registry-runner.jar").touch()
    monkeypatch.setattr(module, "find_java", lambda: "java")
    monkeypatch.setattr(module, "find_jars", lambda name: tmp_path)
    monkeypatch.setattr(module, "find_prometheus", lambda: None)
    return module


@pytest.mark.parametrize(
    ("flags", "started"),
    [
        ([], ["kafka", "hdfs"]),
        (["--only", "kafka,registry"], ["kafka", "registry"]),
        (["--only", "registry", "--only", "hdfs"], ["hdfs", "registry"]),
        (["--only", "registry"], ["registry"]),
    ],
)
def test_the_registry_is_started_where_it_is_named(services: Any, flags: list[str], started: list[str]) -> None:
    found = services.services_of(services.parse(["up", *flags]))
    assert [service.name for service in found] == started
    names = {name for service in found for name in services.NAMES[service.name]}
    assert {node.folder.name for service in found for node in service.nodes} <= names


def test_a_service_that_is_unknown_is_answered_with_those_there_are(
    services: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        services.parse(["up", "--only", "kafka,zookeeper"])
    assert ended.value.code == 2
    assert "must be some of kafka, hdfs, prometheus, registry, got 'zookeeper'" in capsys.readouterr().err
