"""What a schema says of its fields, the same for every kind of schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.encode.own import Form


@dataclass(frozen=True, slots=True)
class Declared:
    """A field of a schema.

    Attributes:
        names: its name and its aliases.
        form: how its values are written; None where they can be none of a format's.
        problem: why, then.
        is_single: whether it has one value, which every reader of loadgen's takes.
        before: what stands in front of a value.
        null, absent: what stands in place of null, and of a field that is not there; None where neither can be.
        default: how its default is written; None where it has none.
        value: the default, where it is a text, an integer, or a float that a reader finds again.
        is_shown: whether a reader finds any value where there is the default.
        is_there: whether Protobuf writes zeros and empty texts, too.
        is_any_number: whether integers are as good as floats, and stay what they are.
    """

    names: tuple[str, ...]
    form: Form | None
    problem: str = ""
    is_single: bool = True
    before: bytes = b""
    null: bytes | None = None
    absent: bytes | None = None
    default: bytes | None = None
    value: Any = None
    is_shown: bool = True
    is_there: bool = False
    is_any_number: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.names[0]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schema.

    Attributes:
        name: the full name of its record.
        fields: its fields.
        is_ordered: whether they must be written in this order.
        needs_first: whether one of them must be in each record, which is written first.
    """

    name: str
    fields: tuple[Declared, ...]
    is_ordered: bool = True
    needs_first: bool = False


def names_in(of: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts under a key; raises ValueError where there is something else."""
    found = of.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{key!r} must be a list of names, got {str(found)[:80]}")
    return found


def check_names(fields: tuple[Declared, ...]) -> None:
    """Raises ValueError where a name is there twice."""
    names = [field.name for field in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"it has the field {twice!r} twice")
