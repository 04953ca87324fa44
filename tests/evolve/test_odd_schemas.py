"""A schema in which anything was changed is filled, or refused in words: it never ends in a traceback."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from loadgen.config.names import EncodingName
from loadgen.encode.encodings import encoding_named
from loadgen.errors import UsageError
from loadgen.evolve.match import own_schema
from loadgen.formats import ACTIVITY
from tests.encode.records import encoded
from tests.evolve.test_run import SCHEMAS
from tests.evolve.test_schemas import BATCH, DOMAINS, LISTENERS

N_CASES = 120
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    10**400,
    "",
    "x",
    "a.b",
    "\ud800",
    [],
    ["null"],
    ["null", "int"],
    {},
    [1],
]
ODD += [
    {"type": "int"},
    "boolean",
    "enum",
    "fixed",
    [[]],
    {"type": []},
    {"type": {"type": "long"}},
    float("nan"),
    "raw",
]
KEYS = ["type", "name", "aliases", "default", "logicalType", "symbols", "size", "precision", "scale", "enum", "format"]
KEYS += ["minimum", "maximum", "required", "properties", "oneOf", "fields", "namespace", "title"]
PIECES = ["", "{", "}", ";", "= 5", "0", "-", "repeated ", "x", "/*", "9" * 20, "\n"]


def paths(of: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in JSON."""
    if path:
        yield path
    items = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


def changed(text: str, rng: random.Random) -> str:
    """The schema with some places replaced, added or removed."""
    if not text.startswith("{"):
        letters = list(text)
        for _ in range(rng.randint(1, 4)):
            letters[rng.randrange(len(letters))] = rng.choice(PIECES)
        return "".join(letters)
    found = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        *way, last = rng.choice(list(paths(found)) or [("x",)])
        inside = found
        for key in way:
            inside = inside[key]
        action = rng.random()
        if action < 0.2 and last in (inside if isinstance(inside, dict) else range(len(inside))):
            del inside[last]
        elif action < 0.4 and isinstance(inside, dict):
            inside[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))
        else:
            inside[last] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(found)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_that_is_changed_at_random_is_filled_or_refused(name: EncodingName) -> None:
    n_filled, said = 0, list[str]()
    for case in range(N_CASES):
        text = changed(SCHEMAS[name], random.Random(case))
        try:
            own = own_schema(name, text, ACTIVITY, DOMAINS)
        except UsageError as error:
            said.append(str(error))
        else:
            records, _ = encoded(own.format, encoding_named(name, own=own), BATCH, LISTENERS)
            n_filled += len(records) == len(BATCH)
    assert n_filled > 0
    assert len(said) == N_CASES - n_filled
    assert all(one.startswith("--schema") and "; correct the schema" in one for one in said)
