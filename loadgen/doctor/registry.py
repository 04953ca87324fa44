"""Tries a schema registry: a schema of the doctor's own is registered, compared, read back and removed."""

import json
from contextlib import closing
from typing import Any

from loadgen.doctor.checks import Finding, bad, good
from loadgen.errors import LoadgenError, RegistryError
from loadgen.kafka.registry import Registry, RegistrySettings

FIRST: dict[str, Any] = {"type": "record", "name": "LoadgenDoctor", "fields": [{"name": "userId", "type": "long"}]}
LATER = FIRST | {"fields": [*FIRST["fields"], {"name": "level", "type": "string", "default": "free"}]}
"""The same with a field more, which readers of either can do without: compatible at every level."""


class RegistryTrial:
    """A subject of the doctor's own.

    Attributes:
        has_registered: whether the registry has taken a schema.
    """

    def __init__(self, settings: RegistrySettings, token: str) -> None:
        """Name it; raises LoadgenError where the client cannot be made."""
        self._registry, self._url = Registry(settings), settings.url
        self._subject = f"loadgen-doctor-{token}-value"
        self.has_registered = False

    def tried(self) -> Finding:
        """Whether the registry takes a schema, compares another with it, and gives it back."""
        try:
            schema_id = self._registry.register(self._subject, json.dumps(FIRST), "AVRO")
            self.has_registered = True
            is_compatible = self._registry.is_compatible(self._subject, json.dumps(LATER), "AVRO")
            given_back = json.loads(self._registry.schema(schema_id).schema_str or "null")
        except RegistryError as error:
            return bad("registry", "schema registry", error)
        except ValueError as error:
            return bad("registry", "schema registry", LoadgenError(f"schema {schema_id} is no JSON ({error})"))
        if not is_compatible or given_back != FIRST:
            wrong = "compares schemas wrongly" if not is_compatible else "gives back another schema"
            return bad("registry", "schema registry", LoadgenError(f"{self._url} {wrong}"), "look at its log")
        return good("registry", f"schema registry {self._url}: registers, compares and gives back schemas")

    def remove(self) -> None:
        """Remove the subject.

        Raises:
            RegistryError: it cannot be removed.
        """
        with closing(self._registry):
            self._registry.remove(self._subject)
