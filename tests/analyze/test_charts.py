"""Names are drawn in a font that has their letters, wherever one is installed; else the picture says what it shows."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure

from loadgen.analyze import charts
from loadgen.analyze.charts import Letters, _bars, charts_of, letters_of
from loadgen.analyze.drawing import BASE
from loadgen.analyze.figures import Count
from tests.analyze.test_output import counts, figures


def square(side: int) -> Any:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, side))
    pen.lineTo((side, side))
    pen.lineTo((side, 0))
    pen.closePath()
    return pen.glyph()


def font_file(path: Path, family: str, letters: str, side: int = 500) -> str:
    """A font of this family that has these letters, each a square."""
    names = [f"u{ord(letter):04X}" for letter in letters]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap(dict(zip(map(ord, letters), names, strict=True)))
    builder.setupGlyf({name: square(side) for name in (".notdef", *names)})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files of the fonts that are installed, beside those that come with matplotlib."""
    files: list[str] = []
    manager: Any = font_manager.fontManager  # its cache has no public way
    before = list(manager.ttflist)
    bundled = [font for font in before if "mpl-data" in font.fname]
    manager.ttflist[:] = bundled
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    manager._findfont_cached.cache_clear()
    yield files
    manager.ttflist[:] = before
    manager._findfont_cached.cache_clear()


def test_latin_names_need_no_other_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_families", lambda: pytest.fail("looked for fonts"))
    assert letters_of(["Björk", "Ça va", "Молчат", ""]) == Letters((BASE,), frozenset())


def test_a_font_is_found_by_its_letters_whatever_its_name(installed: list[str], tmp_path: Path) -> None:
    installed += [
        font_file(tmp_path / "a.ttf", "Handwriting of Nobody", "김서연"),
        font_file(tmp_path / "b.ttf", "Some Gothic", "김"),
        font_file(tmp_path / "c.ttf", "Third", "ヒカル"),
        font_file(tmp_path / "d.ttf", "Unused", "ñ"),
    ]
    found = letters_of(["김서연", "ヒカル", "Björk"])
    assert (found.fonts[0], {*found.fonts[1:]}) == (BASE, {"Handwriting of Nobody", "Third"})
    assert (found.text("김서연 x"), found.note) == ("김서연 x", "")


def test_a_liked_font_comes_before_one_with_as_many_letters(installed: list[str], tmp_path: Path) -> None:
    installed += [
        font_file(tmp_path / "a.ttf", "Zzz Decorative", "김서연"),
        font_file(tmp_path / "b.ttf", "Noto Sans CJK KR", "김서연"),
    ]
    assert letters_of(["김서연"]).fonts == (BASE, "Noto Sans CJK KR")


def test_files_that_are_no_fonts_are_passed_over(installed: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    installed += [str(tmp_path / "broken.ttf"), font_file(tmp_path / "a.ttf", "Good", "김")]
    assert letters_of(["김"]).fonts == (BASE, "Good")


def test_fonts_that_only_seem_to_have_a_letter_are_passed_over(
    installed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_font(path: str) -> Any:
        font = opened(path)
        is_bitmap = str(path).endswith("bitmap.ttf")  # matplotlib does not scale such a font
        return SimpleNamespace(scalable=False, get_charmap=font.get_charmap) if is_bitmap else font

    opened = font_manager.get_font
    monkeypatch.setattr(font_manager, "get_font", get_font)
    installed.append(font_file(tmp_path / "a.ttf", "Last Resort High-Efficiency", "김"))
    installed.append(font_file(tmp_path / "bitmap.ttf", "Bitmap Emoji", "김"))
    assert letters_of(["김"]).fonts == (BASE,)
    installed.append(font_file(tmp_path / "b.ttf", "Good", "김"))
    assert letters_of(["김"]).fonts == (BASE, "Good")


def test_charts_are_drawn_in_the_font_that_was_chosen(installed: list[str], tmp_path: Path) -> None:
    drawn = set[bytes]()
    for family, side in (("First", 100), ("Second", 900)):
        installed[:] = [font_file(tmp_path / f"{family}.ttf", family, "김서연", side)]
        drawn.add(charts_of(figures(top_artists=counts(["김서연"])))["artists"])
    assert len(drawn) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("김서연", "Gimseoyeon"),
        ("아이유 (IU)", "Aiyu (IU)"),
        ("さくら", "Sakura"),
        ("ヒカル", "Hikaru"),
        ("スーパー", "Su-pa-"),
        ("宇多田ヒカル", "???Hikaru"),
        ("Ｑ８", "Q8"),
        ("Björk 김", "Björk Gim"),
        ("क्क", "??"),
    ],
)
def test_letters_that_no_font_has_are_romanised_or_a_question_mark(
    installed: list[str], name: str, expected: str
) -> None:
    found = letters_of([name])
    assert found.fonts == (BASE,)
    assert found.text(name) == expected


def test_a_picture_says_where_letters_were_replaced_and_only_there(installed: list[str]) -> None:
    names = ["아이유", "宇多田", "Björk"]
    letters = letters_of(names)
    for shown, expected in ((names, ["Aiyu", "???", "Björk"]), (["Björk"], ["Björk"])):
        axes: Any = Figure().subplots()
        _bars(axes, "Top artists", [Count(name, 2, 1) for name in shown], "plays", letters)
        assert [label.get_text() for label in axes.get_yticklabels()] == expected
        notes = [text.get_text() for text in axes.figure.texts]
        assert notes == ([letters.note] if len(shown) > 1 else [])
    assert letters.note.startswith("No installed font has Chinese characters, Korean: romanised, or a question mark.")


def test_each_chosen_font_is_drawn_from(installed: list[str], tmp_path: Path) -> None:
    installed.append(font_file(tmp_path / "a.ttf", "Good", "김"))
    families = list(letters_of(["김"]).fonts)
    properties = font_manager.FontProperties(family=families)
    paths = font_manager.fontManager._find_fonts_by_props(properties)
    assert str(tmp_path / "a.ttf") in paths
