"""Formats with further fields, and what readers know of other packages."""

from typing import Any

import pytest

from loadgen import formats
from loadgen.errors import UsageError
from loadgen.formats import OWN, Field, Format, Source, field_of, format_of, known_formats
from tests.outside.my_package.format import VISITS
from tests.own_fields import ALL, NAMES, PLAN


def test_further_fields_come_last_in_the_order_of_their_names() -> None:
    for given in (NAMES, reversed(NAMES), ALL):
        found = format_of("activity", given)
        assert found.names[:15] == format_of("activity").names
        assert list(found.names[15:]) == sorted(field.name for field in ALL)


@pytest.mark.parametrize(
    ("name", "field", "rule"),
    [
        ("activity", "tests.own_fields:NO_FIELD", "must be a loadgen.Field, got int"),
        ("activity", "tests.own_fields:NOTHING", "must name an object of its module"),
        (
            "activity",
            "tests.own_fields:SONG",
            "'song' must be from Source.TITLE, as 'song' is elsewhere, got a drawn choice",
        ),
        ("activity", Field("Page", PLAN.source), "'Page' must be from Source.PAGE, as 'page' is elsewhere"),
        ("listen", Field("country", Source.COUNTRY), "unique in its format, got 'country' twice"),
        ("activity", Field("genre", Source.GENRE), "must have a value wherever it is"),
        ("nowhere", PLAN, "format must be one of activity, listen, full, got 'nowhere'"),
    ],
)
def test_a_field_that_readers_could_not_tell_is_refused(name: str, field: Any, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        format_of(name, [field])


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Field("a b", Source.AGE), "name must match"),
        (lambda: Field("raw", Source.AGE), "not be 'raw'"),
        (lambda: Field("a", "age"), "must be a Source or a Drawn, got 'age'"),  # type: ignore[arg-type]
        (lambda: Field("a", Source.AGE, ()), "pages of field 'a' must be some of Page"),
        (lambda: field_of({"name": "a", "source": "nothing"}), "'nothing' is not a valid Source"),
        (lambda: field_of({"name": "a", "source": "age", "weights": [1]}), "has no 'weights'"),
        (lambda: field_of({"name": "a", "drawn": "normal", "mean": 1}), "deviation"),
        (lambda: field_of({"name": "a", "source": "age", "pages": ["nowhere"]}), "NOWHERE"),
    ],
)
def test_a_wrong_field_is_refused_where_it_is_made(make: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make()


@pytest.mark.parametrize("field", ALL)
def test_a_field_comes_back_from_its_definition(field: Field) -> None:
    assert field_of(field.definition) == field


class Installed:
    """Stands in for the entry points of installed packages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **objects: Any) -> None:
        self.objects = objects
        monkeypatch.setattr(formats, "installed", self.names)
        monkeypatch.setattr(formats, "load", self.load)

    def names(self, kind: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(kind))

    def load(self, kind: str, name: str) -> object:
        if self.objects[name] is None:
            raise UsageError(f"--{kind} {name} must be importable, got an error")
        found: object = self.objects[name]
        return found


def test_readers_know_what_is_installed_and_say_what_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {field.name: field for field in VISITS.fields} | {"what": Field("what", Source.COUNTRY)}
    other = Format("other", tuple(field for name, field in fields.items() if name != "where"))
    Installed(monkeypatch, format_a=VISITS, format_b=None, format_c=other, field_a=PLAN, field_b=7)
    said: list[str] = []
    known = known_formats(note=said.append)
    assert known.formats == (*OWN.formats, VISITS)
    assert known.fields == (PLAN,)
    assert [text.split(",")[0] for text in said] == [
        "--format format_b must be importable",
        "installed format format_c: field 'what' must be from Source.ACTION",
        "--field field_b must be a loadgen.Field",
    ]
    assert format_of("activity", ["field_a"]).names[-1] == "plan"
    with pytest.raises(UsageError, match="must be importable"):
        known_formats(["format_b"])
