"""The jars of the local services are got once, whoever asks; a stand-in takes the place of Maven."""

import importlib.util
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import ROOT

MAVEN = """#!/bin/sh
markers=$CALLS.markers
for word; do
  case $word in -DoutputDirectory=*) folder=${word#*=};; -DmarkersDirectory=*) markers=${word#*=};; esac
done
echo called >> "$CALLS"
[ -e "$markers/all" ] && exit 0  # nothing is unpacked twice
mkdir -p "$markers"; touch "$markers/all"
mkdir -p "$folder"; echo begun > "$folder/a.jar"
sleep 0.3
echo whole > "$folder/a.jar"
"""


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with folders of its own and the stand-in."""
    spec = importlib.util.spec_from_file_location("jars", ROOT / "deploy/local/jars.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "mvn").write_text(MAVEN)
    (tmp_path / "mvn").chmod(0o755)
    (tmp_path / "pom.xml").write_text("<project/>")
    monkeypatch.setattr(module, "LIB", tmp_path / "lib")
    monkeypatch.setattr(module, "POM", tmp_path / "pom.xml")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return module


def n_calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_several_that_ask_at_once_get_whole_jars_and_maven_is_called_once(jars: Any, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(jars.find_jars, ["kafka"] * 3))
    assert {(folder / "a.jar").read_text() for folder in folders} == {"whole\n"}
    assert n_calls(tmp_path) == 1


def test_jars_are_got_again_once_pom_xml_has_changed(jars: Any, tmp_path: Path) -> None:
    jars.find_jars("kafka")
    jars.find_jars("kafka")
    assert n_calls(tmp_path) == 1
    (tmp_path / "pom.xml").write_text("<project>of another version</project>")
    assert (jars.find_jars("kafka") / "a.jar").read_text() == "whole\n"
    assert n_calls(tmp_path) == 2


def test_jars_that_were_removed_are_got_again(jars: Any, tmp_path: Path) -> None:
    shutil.rmtree(jars.find_jars("registry"))
    assert (jars.find_jars("registry") / "a.jar").exists()
    assert n_calls(tmp_path) == 2


def test_jars_that_could_not_be_got_are_got_the_next_time(jars: Any, tmp_path: Path) -> None:
    (tmp_path / "mvn").write_text("#!/bin/sh\necho no network\nexit 1\n")
    with pytest.raises(jars.ServiceError, match="no network"):
        jars.find_jars("kafka")
    (tmp_path / "mvn").write_text(MAVEN)
    assert (jars.find_jars("kafka") / "a.jar").exists()
