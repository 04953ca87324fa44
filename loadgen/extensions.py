"""What other packages add to loadgen: an object named MODULE:OBJECT, or by an entry point of an installed package.

A group of entry points is a kind of extension: sinks, formats, fields, pacers, behaviours. The current folder is
searched too, as `python -m` does, so that a module beside the user's own files needs no installation. A sink or a
pacer is given as text, `MODULE:CLASS?key=value&…`, or in Python as an object.
"""

import os
import sys
from importlib import import_module
from operator import attrgetter
from urllib.parse import parse_qsl

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


def name_of(extension: object) -> str:
    """The name of an extension: its text without options, or MODULE:CLASS of an object."""
    if isinstance(extension, str):
        return extension.partition("?")[0]
    kind = extension if isinstance(extension, type) else type(extension)
    return f"{kind.__module__}:{kind.__qualname__}"


def make(kind: str, extension: object) -> object:
    """The object of an extension: a class is called, with the options of its text as keywords.

    Args:
        kind: a key of GROUPS.
        extension: a text, or an object.

    Raises:
        UsageError: see `load`; or the class does not take these options.
    """
    name, found, options = name_of(extension), extension, ""
    if isinstance(extension, str):
        found, options = load(kind, name), extension.partition("?")[2]
    if not callable(found) and not options:
        return found
    try:
        return found(**dict(parse_qsl(options, keep_blank_values=True)))  # type: ignore[operator]  # raises TypeError
    except LoadgenError:
        raise
    except Exception as error:
        step = "look at the options behind its ?, or mend the class"
        raise UsageError(f"--{kind} {name} must be made from its options, got {described(error)}; {step}") from error


def check_portable(kind: str, extension: object) -> None:
    """Check that an extension can be sent to worker processes.

    Raises:
        UsageError: it cannot be pickled, or the workers cannot import its class.
    """
    import pickle  # costs the start of every command, and few ask

    name = name_of(extension)
    try:
        pickled = pickle.dumps(extension)
    except Exception as error:
        step = "define its class at the top of a module, and open files and connections later, as a sink does in start"
        raise UsageError(f"{kind} {name} must be picklable for the workers, got {described(error)}; {step}") from error
    if b"__main__" in pickled and not os.path.isfile(getattr(sys.modules["__main__"], "__file__", "")):
        step = f"write its class into a file, such as my_{kind}.py, and import it from there"
        raise UsageError(f"{kind} {name} must be in a module that workers can import, got a notebook or shell; {step}")


def _object(module_name: str, object_name: str) -> object:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return attrgetter(object_name)(import_module(module_name))


def _entry_point(kind: str, name: str) -> object:
    from importlib.metadata import entry_points

    points = {point.name: point for point in entry_points(group=GROUPS[kind])}
    if name not in points:
        known = ", ".join(sorted(points)) or "none is installed"
        step = "write MODULE:OBJECT, or install the package that has it"
        raise UsageError(f"--{kind} must name an entry point of {GROUPS[kind]} ({known}), got {name!r}; {step}")
    return points[name].load()
