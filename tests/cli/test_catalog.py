"""`loadgen catalog`: what each command prints, and which catalogue it takes."""

import json
from pathlib import Path

import pytest

from loadgen.cli import main

N_TRACKS = 10_558


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for all tests here: the catalogue is built once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small_catalogue(cache: Path, no_variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_CACHE", str(cache))
    monkeypatch.setenv("LOADGEN_TRACKS", str(N_TRACKS))
    monkeypatch.setenv("COLUMNS", "200")


def test_build_names_the_file_and_what_is_in_it(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "build"]) == 0
    path, _, facts = capsys.readouterr().out.partition(": ")
    assert Path(path).parent == cache
    assert Path(path).is_file()
    assert facts == "10,558 tracks of 10,558 artists\n"


def test_show_is_text_or_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    main(["catalog", "show", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert (facts["artists"], facts["tracks"]) == (10_558, N_TRACKS)
    main(["catalog", "show"])
    shown = capsys.readouterr().out
    assert "tracks: 10,558\n" in shown
    assert [artist["artist"] for artist in facts["top_artists"] if artist["artist"] not in shown] == []


def test_what_is_exported_can_be_imported_and_used_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.parquet"
    assert main(["catalog", "export", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 10,558 tracks\n"
    assert main(["catalog", "import", str(file)]) == 0
    assert capsys.readouterr().out.endswith("use it with: loadgen run --catalog mine\n")
    assert main(["catalog", "show", "--catalog", "mine", "--tracks", "800k", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tracks"] == N_TRACKS


def test_an_import_says_how_much_it_took_and_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "songs.csv"
    file.write_text("artist,title,length\nA,x,100\nA,y,0\n,z,100\nB,u,100\n")
    assert main(["catalog", "import", str(file)]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith(".arrow: 2 tracks of 2 artists")
    assert others == [
        "left out 2 of 4 rows:",
        "  column artist must have a value, got nothing in 1 row (line 4)",
        "  column length must be 1..86,400, got 0.0 in 1 row (line 3)",
        "use it with: loadgen run --catalog songs",
    ]
    assert main(["catalog", "import", str(file), "--strict"]) == 1
    assert "correct or remove them, or import the others without --strict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import", "a b.csv"], 2, "a catalogue's name must begin with a letter or digit"),
        (["import", ""], 2, "FILE must be the path of a file or folder"),
        (["import", "/no/such/file.csv"], 1, "/no/such/file.csv"),
        (["show", "--catalog", "nobody", "--tracks", "800k"], 1, "catalogue 'nobody' must have been imported"),
        (["export", "tracks.xls"], 1, "the exported file must end in"),
        ([], 2, "Missing command; see loadgen catalog --help"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", *words]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_an_export_replaces_a_former_export_and_no_other_file(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"tracks.{ending}"
    file.write_text("a table of mine\n")
    assert main(["catalog", "export", str(file)]) == 1
    assert "loadgen did not write it" in capsys.readouterr().err
    assert file.read_text() == "a table of mine\n"
    file.unlink()
    assert main(["catalog", "export", str(file)]) == 0
    assert "replaces" not in capsys.readouterr().err
    assert main(["catalog", "export", str(file)]) == 0
    assert "replaces the export that was there" in capsys.readouterr().err
