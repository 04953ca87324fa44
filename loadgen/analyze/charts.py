"""The metrics as PNG charts, drawn by matplotlib without a screen, in fonts that have the letters of the names.

In: metrics. Out: the bytes of each picture. `letters_of` chooses among the installed fonts. Korean and Japanese
syllables that no font has are romanised, other letters become a question mark, and the picture says so. Names are
never read as mathematics.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from loadgen.analyze import drawing
from loadgen.analyze.drawing import BASE, BLUE, INK
from loadgen.analyze.figures import BIN_S, Count, ListeningFigures
from loadgen.analyze.output import plain
from loadgen.event import DAY_MS

LIKED = ("Noto Sans CJK", "Noto Sans", "Source Han Sans", "WenQuanYi", "Hiragino Sans", "Malgun Gothic", "Yu Gothic")
"""Prefixes of preferred fonts; among others, the one with most of the letters wins."""
_NO_LETTERS = ("Last Resort", "Adobe Blank")
"""Fonts that show a box, or nothing, for every letter."""
_SYLLABLE = re.compile(r"HANGUL SYLLABLE (\w+)|(?:HIRAGANA|KATAKANA) LETTER (?:SMALL )?(\w+)")
_SCRIPTS = {"CJK": "Chinese characters", "HANGUL": "Korean", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}
_MOST_SCRIPTS = 3


@dataclass(frozen=True, slots=True)
class Letters:
    """The fonts for some texts.

    Attributes:
        fonts: families, in the order in which a letter is searched.
        missing: letters that none of them has.
    """

    fonts: tuple[str, ...] = (BASE,)
    missing: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        """The name, with missing letters replaced."""
        return "".join(self._drawn(name)) if self.missing.intersection(name) else name

    @property
    def note(self) -> str:
        """A note for the reader of the picture; empty if no letter is missing."""
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
        """Latin letters for a missing letter, none for a combining mark, a capital at the start of a word."""
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
    """Choose fonts for these texts: DejaVu Sans, and as few others as needed for the letters that it lacks."""
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
    """Every family installed now; matplotlib itself knows only those installed at its first start."""
    from matplotlib import font_manager, get_data_path

    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # damaged, or of an unsupported kind
                continue
    own = Path(get_data_path())
    names = {font.name for font in manager.ttflist if own not in Path(font.fname).parents}
    return sorted(name for name in names if not name.startswith(_NO_LETTERS) and name != BASE)


def _covered(family: str) -> set[str]:
    """The letters of the file that matplotlib uses for this family; none if it cannot be used."""
    from matplotlib import font_manager

    try:
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        font = font_manager.get_font(path)
        return set(map(chr, font.get_charmap())) if font.scalable else set()
    except (OSError, RuntimeError, ValueError):
        return set()


def _script(letter: str) -> str:
    """The name of a letter's script, for the user."""
    word = unicodedata.name(letter, "other").split()[0].split("-")[0]
    if unicodedata.category(letter).startswith("S"):
        return "some symbols"
    return _SCRIPTS.get(word, word.capitalize() if word != "other" else "some letters")


N_BARS = 12
NAME = 28
"""The longest name, in letters; Korean and Japanese ones count as two."""
CELL = 0.0105
"""The width of a letter, as a share of the picture."""
LIGHT = "#a9c6e6"
NOTHING = "nothing to draw: no event tells this"


def charts_of(figures: ListeningFigures) -> dict[str, bytes]:
    """Name of the chart → PNG."""
    lists = (figures.genres, figures.platforms, figures.actions, figures.top_artists)
    letters = letters_of(plain(one.name) for counts in lists for one in counts[:N_BARS])
    drawings: dict[str, Callable[[Any], None]] = {
        "genres": lambda axes: _bars(axes, "Top genres", figures.genres, "plays", letters),
        "platforms": lambda axes: _bars(axes, "Platforms", figures.platforms, "events", letters),
        "actions": lambda axes: _bars(axes, "Actions", figures.actions, "events", letters),
        "artists": lambda axes: _bars(axes, "Top artists", figures.top_artists, "plays", letters),
        "durations": lambda axes: _durations(axes, figures),
        "over_time": lambda axes: _over_time(axes, figures),
    }
    with drawing.style(letters.fonts):
        return {name: _png(draw) for name, draw in drawings.items()}


def prepare() -> None:
    """Import what takes a second; a thread may do it in the meantime."""
    for name in ("dates", "font_manager", "ticker", "figure", "backends.backend_agg"):
        import_module(f"matplotlib.{name}")


def _png(draw: Callable[[Any], None]) -> bytes:
    figure = drawing.figure_of(9, 5, 110)
    axes = figure.add_axes((0.1, 0.13, 0.87, 0.75))
    drawing.frame(axes)
    draw(axes)
    return drawing.png(figure)


def _bars(axes: Any, title: str, counts: Sequence[Count], unit: str, letters: Letters) -> None:
    """Bars, the longest on top, with their values."""
    shown = [one for one in counts[:N_BARS] if getattr(one, unit)]
    more = len(counts) - len(shown)
    _title(axes, f"{title} by {unit}" + (f" ({len(shown)} of {len(counts)})" if shown and more > 0 else ""))
    if not shown:
        return drawing.nothing(axes, NOTHING)
    values = [getattr(one, unit) for one in shown]
    bars = axes.barh(range(len(shown)), values, color=BLUE, height=0.72)
    axes.bar_label(bars, [f"{value:,}" for value in values], padding=4, color=INK, fontsize=9)
    texts = [plain(one.name) for one in shown]
    names = [_cut(letters.text(text)) for text in texts]
    if letters.missing.intersection("".join(texts)):
        axes.figure.text(0.02, 0.015, letters.note, color=INK, fontsize=7)
    left = 0.02 + max(map(cell_len, names)) * CELL
    axes.set_position((left, 0.13, 0.97 - left, 0.75))
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(max(len(shown), 5) - 0.4, -0.6)
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel(unit)
    _count_on(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    return drawing.grid(axes, "x")


def _durations(axes: Any, figures: ListeningFigures) -> None:
    bins = figures.duration_bins
    _title(axes, "Lengths of the tracks started")
    if not any(bins):
        return drawing.nothing(axes, NOTHING)
    middle = [(place + 0.5) * BIN_S / 60 for place in range(len(bins))]
    axes.bar(middle, bins, width=BIN_S / 60 * 0.92, color=BLUE)
    ends = range(len(bins) * BIN_S // 60 + 1)
    last = (len(bins) - 1) * BIN_S // 60
    axes.set_xticks(ends, [f"{end}" + ("+" if end == last else "") for end in ends])
    axes.set_xlabel("minutes")
    axes.set_ylabel("plays")
    _count_on(axes.yaxis)
    if figures.durations_s.p50 is not None:
        p50 = figures.durations_s.p50
        text = f"median {int(p50) // 60}:{int(p50) % 60:02}"
        axes.annotate(text, (0.99, 0.95), xycoords="axes fraction", ha="right", va="top", color=INK)
    return drawing.grid(axes, "y")


def _over_time(axes: Any, figures: ListeningFigures) -> None:
    """Events, and plays, which are a part of them, in front."""
    _title(axes, f"Events over time, each {_step(figures.step_min)}")
    if not figures.over_time:
        return drawing.nothing(axes, NOTHING)
    from matplotlib import dates

    edges, events, plays = _steps(figures)
    axes.stairs(events, edges, fill=True, color=LIGHT, label="events")
    axes.stairs(plays, edges, fill=True, color=BLUE, label="of these, tracks started")
    axes.set_ylim(0, max(events) * 1.08)
    axes.set_ylabel("events")
    _count_on(axes.yaxis)
    locator: Any = dates.AutoDateLocator(tz=UTC, minticks=2, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter: Any = dates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel("UTC")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    return drawing.grid(axes, "y")


def _steps(figures: ListeningFigures) -> tuple[list[float], list[int], list[int]]:
    """The edges of all steps in days since 1970, including empty ones; events and plays in each."""
    step_ms = figures.step_min * 60_000
    found = {time_ms: (events, plays) for time_ms, events, plays in figures.over_time}
    times = range(figures.over_time[0][0], figures.over_time[-1][0] + 1, step_ms)
    counts = [found.get(time_ms, (0, 0)) for time_ms in times]
    edges = [time_ms / DAY_MS for time_ms in (*times, times[-1] + step_ms)]
    return edges, [events for events, _ in counts], [plays for _, plays in counts]


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", color=INK, fontsize=13, pad=12)


def _count_on(axis: Any) -> None:
    """Put ticks at whole numbers, because there is no half event, with separators of thousands."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _step(minutes: int) -> str:
    for unit, size in (("week", 10_080), ("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % size == 0:
            n = minutes // size
            return unit if n == 1 else f"{n} {unit}s"
    raise ValueError(f"steps are whole minutes, got {minutes}")


def _cut(text: str) -> str:
    return text if cell_len(text) <= NAME else f"{set_cell_size(text, NAME - 1).rstrip()}…"
