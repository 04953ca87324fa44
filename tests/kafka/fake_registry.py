"""A schema registry in memory, with the part of Confluent's API that producers and consumers ask."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.kafka.http_server import Answer, Request, Server, serving, with_status

FIRST_ID = 34
"""Its last byte is a quotation mark."""


@dataclass
class FakeRegistry:
    """A registry that runs.

    Attributes:
        schemas: what was registered, the first with FIRST_ID: subject and schema.
        removed: the subjects of each removal.
        refused: the type of schemas that it does not take.
        fault: takes the place of every answer; None while there is none.
    """

    schemas: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: str | None = None
    fault: Answer | None = None
    server: Server = field(init=False)

    @property
    def url(self) -> str:
        """Its URL."""
        return self.server.url

    def answer(self, request: Request) -> None:
        """Register, look up, or give back a schema."""
        if self.fault is not None:
            self.fault(request)
            return
        _, kind, name, *rest = request.path.partition("?")[0].split("/")
        given = json.loads(request.body or b"{}")
        found: Any = {"error_code": 40403, "message": "Schema not found"}
        if kind == "compatibility":
            found = {"is_compatible": True}
        if request.method == "DELETE":
            self.removed.append(name)
            found = [1]
        if kind == "schemas" and 0 <= int(rest[0]) - FIRST_ID < len(self.schemas):
            found = self.schemas[int(rest[0]) - FIRST_ID][1]
        elif (
            request.method != "DELETE"
            and kind == "subjects"
            and ((name, given) in self.schemas or rest == ["versions"])
        ):
            if (name, given) not in self.schemas:
                self.schemas.append((name, given))
            schema_id = FIRST_ID + self.schemas.index((name, given))
            found = {"id": schema_id, "subject": name, "version": 1, **given}
        if self.refused is not None and given.get("schemaType") == self.refused:
            found = {"error_code": 422, "message": f"no schemas of {self.refused} here"}
        with_status(404 if "error_code" in found else 200, found)(request)


@contextmanager
def running(schemas: Sequence[tuple[str, dict[str, Any]]] = ()) -> Iterator[FakeRegistry]:
    """A registry with these schemas, for as long as the context."""
    registry = FakeRegistry(list(schemas))
    with serving(registry.answer) as registry.server:
        yield registry
