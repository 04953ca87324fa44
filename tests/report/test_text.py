"""Figures in words: the unit that suits, no more digits than matter, a dash for what is not known."""

import pytest

from loadgen.report import text


@pytest.mark.parametrize(
    ("value_ms", "words"),
    [
        (None, "–"),
        (0.0, "0 µs"),
        (0.0006, "1 µs"),
        (0.85, "850 µs"),
        (0.9996, "1.00 ms"),
        (12.096, "12.1 ms"),
        (9.994, "9.99 ms"),
        (9.996, "10.0 ms"),
        (150.4, "150 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (4250.0, "4.25 s"),
        (125_000.0, "2 min 5 s"),
        (12_000_000.0, "3 h 20 min"),
    ],
)
def test_a_duration_is_in_the_unit_that_suits(value_ms: float | None, words: str) -> None:
    assert text.duration_ms(value_ms) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((None, "–"), (0.0, "0"), (3, "3"), (12345.0, "12,345"), (1234.56, "1,235"), (61.9, "61.90")),
        *((0.309, "0.309"), (0.00123, "0.00123"), (-3.14159, "-3.142")),
    ],
)
def test_a_number_has_the_digits_that_matter(value: float | None, words: str) -> None:
    assert text.number(value) == words


@pytest.mark.parametrize(
    ("n_bytes", "words"), [(0, "0 B"), (999, "999 B"), (25_969_968, "25.97 MB"), (5e15, "5,000 TB")]
)
def test_a_size_is_in_powers_of_a_thousand(n_bytes: float, words: str) -> None:
    assert text.size(n_bytes) == words


def test_what_a_terminal_or_a_page_would_obey_is_shown_as_an_escape() -> None:
    assert text.plain("봄 naïve – 1") == "봄 naïve – 1"
    assert text.plain("\x1b[31m\u202e\n\0\udcff") == "\\x1b[31m\\u202e\\n\\x00\\udcff"


def test_values_of_settings_are_on_one_line() -> None:
    assert [text.value(one) for one in ("a\nb", None, True, {"a": ["b"]}, 5000)] == [
        "a\\nb",
        "null",
        "true",
        '{"a":["b"]}',
        "5000",
    ]
    deep: list[object] = []
    for _ in range(400):
        deep = [deep]
    assert text.value(deep) == "…"
