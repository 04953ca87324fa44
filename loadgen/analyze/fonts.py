"""Which fonts draw some names, of all that are installed, and what stands for letters that none of them has.

In: texts. Out: `Letters`: names of fonts, one to look in after another; the texts with letters that can be drawn, and a
note where some had to be replaced. Korean and Japanese syllables are romanised; for others stands a question mark.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

BASE = "DejaVu Sans"
"""Comes with matplotlib."""
LIKED = ("Noto Sans CJK", "Noto Sans", "Source Han Sans", "WenQuanYi", "Hiragino Sans", "Malgun Gothic", "Yu Gothic")
"""Fonts whose names begin so are looked in first; of all others, the one that has most of the letters."""
_NO_LETTERS = ("Last Resort", "Adobe Blank")
"""Fonts that have a box, or nothing, for every letter there is."""
_SYLLABLE = re.compile(r"HANGUL SYLLABLE (\w+)|(?:HIRAGANA|KATAKANA) LETTER (?:SMALL )?(\w+)")
_SCRIPTS = {"CJK": "Chinese characters", "HANGUL": "Korean", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}
_MOST_SCRIPTS = 3


@dataclass(frozen=True, slots=True)
class Letters:
    """How texts are drawn.

    Attributes:
        fonts: families, in the order in which a letter is looked for.
        missing: letters that none of them has.
    """

    fonts: tuple[str, ...] = (BASE,)
    missing: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        """The name in letters that can be drawn."""
        return "".join(self._drawn(name)) if self.missing.intersection(name) else name

    @property
    def note(self) -> str:
        """What a reader of the picture has to know; empty where every letter is there."""
        if not self.missing:
            return ""
        found = sorted({_script(letter) for letter in self.missing})
        scripts = ", ".join(found[:_MOST_SCRIPTS]) + (" …" if len(found) > _MOST_SCRIPTS else "")
        return f"No installed font has {scripts}: romanised, or a question mark. Install one, such as Noto Sans CJK."

    def _drawn(self, name: str) -> Iterator[str]:
        is_inside = False
        for letter in name:
            shown = self._latin(letter, is_inside) if letter in self.missing else letter
            is_inside = shown.isalpha() or (is_inside and shown in ("", "-"))
            yield shown

    def _latin(self, letter: str, is_inside: bool) -> str:
        """Latin letters for one that no font has, none for a combining mark; a capital where a word begins."""
        parts = unicodedata.normalize("NFKD", letter)
        base = "".join(part for part in parts if not unicodedata.combining(part))
        if base != letter and not self.missing.intersection(base) and base.isascii():
            return base
        name = unicodedata.name(letter, "")
        if "PROLONGED SOUND MARK" in name:
            return "-"
        syllable = _SYLLABLE.fullmatch(name)
        if syllable is None:
            return "?"
        latin = (syllable[1] or syllable[2]).lower()
        return latin if is_inside else latin.capitalize()


def letters_of(texts: Iterable[str]) -> Letters:
    """Choose fonts for these texts: DejaVu Sans, and as few others as have the letters that it lacks."""
    missing = {letter for text in texts for letter in text if not letter.isascii()}
    missing -= _covered(BASE)
    if not missing:
        return Letters()
    chosen = [BASE]
    coverage = {family: _covered(family) & missing for family in _families()}
    while missing:
        best = max(coverage, key=lambda family: _rank(family, coverage[family] & missing), default=BASE)
        if not coverage.get(best, set()) & missing:
            break
        chosen.append(best)
        missing -= coverage[best]
    return Letters(tuple(chosen), frozenset(missing))


def _rank(family: str, letters: set[str]) -> tuple[bool, int, str]:
    return bool(letters) and family.startswith(LIKED), len(letters), family


def _families() -> list[str]:
    """Every family that is installed now: matplotlib itself only knows those that were there when it first started."""
    from matplotlib import font_manager, get_data_path

    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # damaged, or of a kind that matplotlib does not draw
                continue
    own = Path(get_data_path())
    names = {font.name for font in manager.ttflist if own not in Path(font.fname).parents}
    return sorted(name for name in names if not name.startswith(_NO_LETTERS) and name != BASE)


def _covered(family: str) -> set[str]:
    """The letters of the file that matplotlib draws this family from; none where it cannot be drawn from."""
    from matplotlib import font_manager

    try:
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        font = font_manager.get_font(path)
        return set(map(chr, font.get_charmap())) if font.scalable else set()
    except (OSError, RuntimeError, ValueError):
        return set()


def _script(letter: str) -> str:
    """The name of a letter's script, for a person."""
    word = unicodedata.name(letter, "other").split()[0].split("-")[0]
    if unicodedata.category(letter).startswith("S"):
        return "some symbols"
    return _SCRIPTS.get(word, word.capitalize() if word != "other" else "some letters")
