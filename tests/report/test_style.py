"""Every colour of the page has enough contrast with what it stands on, in light and in dark."""

import re
from importlib.resources import files

import pytest

STYLE = files("loadgen.report").joinpath("style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"(--[\w-]+): (#\w{6});", block)) for block in re.findall(r":root\S* \{([^}]*)\}", STYLE)[:2]
)
TEXT, LINE = 4.5, 3.0
"""WCAG AA: of texts, and of what must be seen in a drawing."""
WHERE = {
    "--text": ("--ground", "--surface", "--good-soft", "--bad-soft", "--accent-soft"),
    "--quiet": ("--ground", "--surface", "--good-soft", "--bad-soft"),
    "--accent": ("--ground", "--surface"),
    "--good": ("--surface", "--good-soft", "--bad-soft"),
    "--bad": ("--surface", "--good-soft", "--bad-soft"),
    "--amber": ("--surface", "--good-soft", "--bad-soft"),
    "--surface": ("--good", "--bad"),  # the mark in its circle
}
DRAWN = ("--accent", "--blue", "--amber", "--red", "--run-a", "--run-b", "--quiet", "--text")


def luminance(colour: str) -> float:
    """Of #rrggbb."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_lines_can_be_told_from_what_they_stand_on(colours: dict[str, str]) -> None:
    texts = {(name, on): contrast(colours[name], colours[on]) for name, places in WHERE.items() for on in places}
    lines = {name: contrast(colours[name], colours["--surface"]) for name in DRAWN}
    assert {pair: ratio for pair, ratio in texts.items() if ratio < TEXT} == {}
    assert {name: ratio for name, ratio in lines.items() if ratio < LINE} == {}


def test_dark_and_light_define_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK)
    assert len(LIGHT) > 12
