"""What is wrong with the settings, in lines that a user can act on.

In: what was given. Out: the settings, or None and a line for each problem: the setting, its rule, the value and where
it came from, the next step.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from loadgen.config import values
from loadgen.config.given import Given
from loadgen.config.masks import hidden, without_login
from loadgen.config.rules import Contradiction, Problem
from loadgen.config.settings.base import Settings
from loadgen.config.values import BadValue, nearest

S = TypeVar("S", bound=Settings)


def validated(kind: type[S], given: Given, now_ms: int) -> S | None:
    """The settings, or None when something is wrong; what is wrong is appended to the problems."""
    context = {"now_ms": now_ms}
    try:
        return kind.model_validate(given.values, context=context)
    except ValidationError as error:
        bad = _report(error, given, set())
    if bad:  # look for contradictions among the others
        good = {name: value for name, value in given.values.items() if name not in bad}
        stand_ins = {name: flag.needed.example for name, flag in kind.flags().items() if flag.needed}
        try:
            kind.model_validate(stand_ins | good, context=context)
        except ValidationError as error:
            _report(error, given, bad)
    return None


def _report(error: ValidationError, given: Given, bad: set[str]) -> set[str]:
    """Append a line for each problem that does not follow from the settings known as bad; return the bad fields."""
    found = set()
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Contradiction):
            fresh = [problem for problem in cause.problems if bad.isdisjoint(problem.values)]
            given.problems += [_contradiction_line(problem, given) for problem in fresh]
        elif item["type"] != "default_factory_not_called":  # follows from another problem
            found.add(str(item["loc"][0]))
            given.problems.append(_value_line(item, cause, given))
    return found


def _value_line(item: Any, cause: Any, given: Given) -> str:
    name = str(item["loc"][0])
    flag, key = given.kind.flags()[name], given.kind.keys()[name]
    origin = given.origins.get(name, "default")
    got = shown(given.values.get(name))
    if item["type"] == "missing" and flag.needed:
        return f"{flag.needed.rule}, got none; {flag.needed.next_step}"
    if isinstance(cause, BadValue):
        subject = f"{key} {item['loc'][1]}" if isinstance(item["loc"][-1], str) and len(item["loc"]) > 1 else key
        got = shown(item["input"]) if isinstance(item["loc"][-1], int) else got  # one of several
        return f"{subject} {cause.rule}, got {got} ({origin}); {cause.next_step}"
    if item["type"] == "extra_forbidden":
        known = _sub_names(given.kind, name)
        return unknown(f"name in {key}:", str(item["loc"][1]), known, "take it out") + f" ({origin})"
    return f"{key}: {item['msg']}, got {got} ({origin}); see loadgen {given.kind.verb} --help"


def _sub_names(kind: type[Settings], name: str) -> list[str]:
    annotation: Any = kind.model_fields[name].annotation
    return list(getattr(annotation, "model_fields", ()))


def _contradiction_line(problem: Problem, given: Given) -> str:
    got = []
    for name, value in problem.values.items():
        origin = given.origins.get(name, "default")
        said = given.values.get(name, value)
        if name.endswith("_ms") and isinstance(said, int):
            said = values.say_moment(said)
        got.append(f"{given.kind.keys()[name]} {shown(said)} ({origin})")
    return f"{problem.rule}, got {' and '.join(got)}; {problem.next_step}"


def unknown(kind: str, word: str, known: Iterable[str], else_step: str, where: str = "", prefix: str = "") -> str:
    """The line for a word that nobody knows, with the nearest one that somebody does."""
    near = nearest(word, known, prefix)
    return f"unknown {kind} {without_login(repr(word[:80]))}{where}; " + (
        f"did you mean {near}?" if near else else_step
    )


def shown(value: Any) -> str:
    """A value for a message: on one line, not too long, without what looks like a password."""
    if value is None or value == ():
        return "none"
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    text = hidden(text)
    return text if len(text) <= 80 else text[:77] + "..."
