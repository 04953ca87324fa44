"""The fields of a user's own schema, matched with the format of a run: which are which, and what fills the others.

In: the text of a schema, a `Format`, and the values that a run can have. Out: an `OwnSchema`, or a UsageError that
names each field that cannot be filled, and why. A field is one of the format's by its name or an alias, in any form
that keeps all of its values; any other has its default.
"""

from collections.abc import Callable
from dataclasses import replace

from loadgen.config.names import EncodingName
from loadgen.drawn import Drawn
from loadgen.encode.own import ISO, TEXT, Domains, Form, OwnField, OwnFormat, OwnSchema
from loadgen.errors import UsageError
from loadgen.event import TRACK_PAGES
from loadgen.evolve import avro, jsonschema, protobuf
from loadgen.evolve.declared import Declaration, Declared
from loadgen.formats import OF_TRACK, TIMES, Field, Format, Source

STEP = "correct the schema, or send the one of the format: leave --schema out"
_READ: dict[EncodingName, Callable[[str, Format], Declaration]] = {
    "avro": lambda text, _: avro.read(text),
    "protobuf": protobuf.read,
    "jsonschema": lambda text, _: jsonschema.read(text),
}


def own_schema(name: EncodingName, text: str, wire_format: Format, domains: Domains | None = None) -> OwnSchema:
    """The schema, matched.

    Args:
        name: of the encoding.
        text: the schema.
        wire_format: of the run.
        domains: the values that it can have; None where they have been checked already.

    Raises:
        UsageError: it is no schema, or some of its fields cannot be filled.
    """
    try:
        declaration = _READ[name](text, wire_format)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"--schema must be a schema for --encoding {name}, got one that cannot be read: {said}; {STEP}"
        ) from error
    found = _Matched()
    for declared in declaration.fields:
        try:
            found.add(declared, wire_format, domains)
        except ValueError as error:
            found.problems.append(f"field {declared.name!r} ({error})")
    if not found.problems and not any(not field.is_constant for field in found.fields):
        found.problems.append("any field, as none is one of the format's by its name or an alias")
    if not found.problems and declaration.needs_first and all(field.is_optional for field in found.fields):
        found.problems.append("any field in each event")
    if found.problems:
        raise UsageError(f"--schema: format {wire_format.name} cannot fill {', '.join(found.problems)}; {STEP}")
    return found.schema(declaration)


class _Matched:
    """What has been matched so far."""

    def __init__(self) -> None:
        self.fields = list[OwnField]()
        self.problems = list[str]()
        self._literals = list[tuple[int, bytes]]()
        self._unproved = list[str]()

    def add(self, declared: Declared, wire_format: Format, domains: Domains | None) -> None:
        """Match one; raises ValueError where it cannot be filled."""
        fields = {field.name: field for field in wire_format.fields}
        field = next((fields[name] for name in declared.names if name in fields), None)
        if not declared.is_single:
            raise ValueError(declared.problem)
        if field is not None:
            try:
                self.fields.append(_filled(declared, field, domains))
            except ValueError as error:
                is_alias = field.name != declared.name
                raise ValueError(f"as {field.name!r}: {error}" if is_alias else str(error)) from None
        elif declared.default is None:
            raise ValueError("the format has no such field, and it has no default")
        elif declared.value is None or declared.form is None:
            self._literals.append((len(self.fields), declared.default))
            if declared.is_shown:
                self._unproved.append(declared.name)
        else:
            self.fields.append(_constant(declared, declared.form))

    def schema(self, declaration: Declaration) -> OwnSchema:
        """All of them."""
        fields, literals = tuple(self.fields), self._literals
        if not declaration.is_ordered:
            fields = tuple(sorted(fields, key=lambda field: field.is_optional)) if declaration.needs_first else fields
            literals = [(len(fields), data) for _, data in literals]
        reading = tuple(filter(None, map(_as_read, fields)))
        name = declaration.name
        return OwnSchema(
            name, OwnFormat(name, fields), OwnFormat(name, reading), tuple(literals), tuple(self._unproved)
        )


def _filled(declared: Declared, field: Field, domains: Domains | None) -> OwnField:
    if declared.form is None:
        raise ValueError(declared.problem)
    form = declared.form
    if form == TEXT and field.source in TIMES:
        form = ISO
    if declared.is_any_number and field.type == "integer":
        form = replace(form, kind="integer")
    problem = "" if domains is None else form.problem(field, domains)
    if problem:
        raise ValueError(problem)
    null, absent, fill = declared.null, declared.absent, None
    if field.is_optional and (null is None or absent is None):
        if declared.default is None:
            raise ValueError("some events have no value for it: let it be null, or give it a default")
        null, absent, fill = declared.default, declared.default, declared.value
        if fill is None:
            raise ValueError("some events have no value for it, and its default is none that can be read again")
    source: Source | Drawn = field.source
    if source in TIMES:
        is_text = form.kind == "iso" or (form.is_time and declared.name != "ts")
        source = Source.TIME_ISO if is_text else Source.TIME_MS
    return OwnField(
        declared.name,
        source,
        field.pages,
        form,
        field.name,
        declared.before,
        null or b"",
        absent or b"",
        fill,
        declared.is_there,
    )


def _constant(declared: Declared, form: Form) -> OwnField:
    source = Drawn.choice([declared.value])
    return OwnField(
        declared.name, source, None, form, declared.name, declared.before, is_there=declared.is_there, is_constant=True
    )


def _as_read(field: OwnField) -> OwnField | None:
    """As a reader finds it: with its default where events have no value; None where it is always null."""
    if field.fill is not None:
        return replace(field, pages=None)
    if field.pages is None or field.source not in OF_TRACK:
        return field
    pages = tuple(page for page in field.pages if page in TRACK_PAGES)
    return replace(field, pages=pages) if pages else None
