"""The package says where everything is, and is right."""

import re
from pathlib import Path

import loadgen

ROOT = Path(loadgen.__file__).parent


def test_the_packages_docstring_names_every_folder_and_file_of_the_tree() -> None:
    listed = {line.split()[0] for line in (loadgen.__doc__ or "").splitlines() if line.startswith("    ")}
    folders = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")}
    files = {path.name for path in ROOT.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert listed == folders | files


def test_the_way_of_an_event_names_at_most_ten_files_and_what_they_hold() -> None:
    steps = re.findall(r"^ ?\d+\. (\S+) +(?:`(\w+)\.(\w+)`)?", loadgen.__doc__ or "", re.MULTILINE)
    assert 5 < len(steps) <= 10
    for path, owner, method in steps:
        text = (ROOT / path).read_text()
        assert f"class {owner}" in text
        assert f"def {method}" in text


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in ROOT.rglob("*.py") if not path.read_text().startswith(('"""', 'r"""'))]
    assert silent == []
