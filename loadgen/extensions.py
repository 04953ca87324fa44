"""What other packages add to loadgen: an object named MODULE:OBJECT, or by an entry point of an installed package.

A group of entry points is a kind of extension: sinks, formats, fields, pacers, behaviours. The current folder is
searched too, as `python -m` does, so that a module beside the user's own files needs no installation.
"""

import os
import sys
from importlib import import_module

from loadgen.errors import LoadgenError, UsageError, described

GROUPS = {
    "sink": "loadgen.sinks",
    "format": "loadgen.formats",
    "field": "loadgen.fields",
    "pacer": "loadgen.pacers",
    "behaviour": "loadgen.behaviours",
}
"""Kind → the group of entry points under which packages offer extensions of this kind."""
_RULES: dict[type[Exception], tuple[str, str]] = {
    ModuleNotFoundError: (
        "must be in a module that can be imported",
        "install its package, or name its folder in PYTHONPATH",
    ),
    AttributeError: ("must name an object of its module", "write MODULE:OBJECT"),
}


def names(kind: str) -> list[str]:
    """The names under which installed packages offer extensions of this kind, in order."""
    from importlib.metadata import entry_points  # takes 20 ms, and few commands ask

    return sorted({point.name for point in entry_points(group=GROUPS[kind])})


def load(kind: str, name: str) -> object:
    """The extension of this name.

    Args:
        kind: a key of GROUPS, which is also the name of the flag.
        name: MODULE:OBJECT, or that of an entry point.

    Raises:
        UsageError: there is no such module, object or entry point, or importing it fails.
    """
    module_name, colon, object_name = name.partition(":")
    try:
        return _object(module_name, object_name) if colon else _entry_point(kind, name)
    except LoadgenError:
        raise
    except Exception as error:  # a module of others may raise anything
        rule, step = _RULES.get(type(error), ("must be importable", "mend the module"))
        raise UsageError(f"--{kind} {name} {rule}, got {described(error)}; {step}") from error


def _object(module_name: str, object_name: str) -> object:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return getattr(import_module(module_name), object_name)


def _entry_point(kind: str, name: str) -> object:
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=GROUPS[kind])}
    if name not in points:
        known = ", ".join(sorted(points)) or "none is installed"
        step = "write MODULE:OBJECT, or install the package that has it"
        raise UsageError(f"--{kind} must name an entry point of {GROUPS[kind]} ({known}), got {name!r}; {step}")
    return points[name].load()
