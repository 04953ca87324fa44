"""The documentation shows the package of this folder as it is."""

import re

import pytest

from tests.outside.conftest import HERE

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


@pytest.mark.parametrize(("name", "block"), SHOWN, ids=[name for name, _ in SHOWN])
def test_a_block_of_code_is_part_of_the_file_that_it_names(name: str, block: str) -> None:
    assert block in (HERE / name).read_text()


def test_every_file_of_the_package_is_shown_and_short() -> None:
    files = [path for path in (HERE / "my_package").iterdir() if path.is_file() and path.name != "__init__.py"]
    assert {name for name, _ in SHOWN} == {"pyproject.toml", *(f"my_package/{path.name}" for path in files)}
    assert max(len(path.read_text().splitlines()) for path in files) <= 40
