"""The documentation shows the package of this folder as it is."""

import re

import pytest

from tests.outside.journey import HERE

ROOT = HERE.parents[1]
SHOWN = [
    (name, block)
    for document in ("README.md", ".github/CONTRIBUTING.md")
    for name, block in re.findall(
        r"^```(?:python|toml)\n# (my_package/\w+\.\w+|pyproject\.toml)\n(.*?)^```$",
        (ROOT / document).read_text(),
        re.DOTALL | re.MULTILINE,
    )
]

PLACES = re.findall(
    r"((?:`\w+`(?: and |, )?)*)(?: in | of )?`((?:loadgen|tests|grafana)/[\w/.]*)`",
    (ROOT / ".github/CONTRIBUTING.md").read_text(),
)


@pytest.mark.parametrize(("name", "block"), SHOWN, ids=[name for name, _ in SHOWN])
def test_a_block_of_code_is_part_of_the_file_that_it_names(name: str, block: str) -> None:
    assert block in (HERE / name).read_text()


@pytest.mark.parametrize(("names", "path"), PLACES)
def test_what_contributors_are_pointed_to_is_there(names: str, path: str) -> None:
    found, place = re.findall(r"`(\w+)`", names), ROOT / path
    assert place.is_dir() or [name for name in found if name not in place.read_text()] == []


def test_every_file_of_the_package_is_shown_and_short() -> None:
    files = [path for path in (HERE / "my_package").iterdir() if path.is_file() and path.name != "__init__.py"]
    assert {name for name, _ in SHOWN} == {"pyproject.toml", *(f"my_package/{path.name}" for path in files)}
    assert max(len(path.read_text().splitlines()) for path in files) <= 40
