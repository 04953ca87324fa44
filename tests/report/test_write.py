"""A page is written whole or not at all, and a place where it cannot be is found out before the run."""

import os
from pathlib import Path

import pytest

from loadgen.errors import OutputUnwritable
from loadgen.report import check_report, write_page
from tests.full_disk import fill_disk
from tests.report.manifests import manifest, run_of


def test_a_page_is_written_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.html"
    write_page(path, [run_of(manifest(), "m.json")])
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert os.listdir(path.parent) == ["run.html"]


def test_a_page_that_cannot_be_written_whole_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.html"
    path.write_text("the old page")
    fill_disk(monkeypatch)
    with pytest.raises(OutputUnwritable, match=r"cannot write .*run\.html'.*the disk is full"):
        write_page(path, [run_of(manifest(), "m.json")])
    assert path.read_text() == "the old page"
    assert os.listdir(tmp_path) == ["run.html"]


def test_a_folder_is_no_place_for_a_page(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="that is a folder: name a file"):
        check_report(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match=r"cannot write .*file"):
        check_report(tmp_path / "file" / "run.html")
    check_report(tmp_path / "new" / "run.html")
    assert os.listdir(tmp_path / "new") == []
