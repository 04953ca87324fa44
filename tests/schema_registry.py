"""A schema registry that gives schemas by their ids, for tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loadgen.kafka.registry import Registry, RegistrySettings
from tests.kafka.http_server import Request, Server, serving, with_status


@contextmanager
def registry_of(schemas: Mapping[int, tuple[str, str]]) -> Iterator[tuple[Registry, Server]]:
    """A client of a registry that runs as long as the context.

    Args:
        schemas: type and text, by id; may change meanwhile.
    """

    def answer(request: Request) -> None:
        schema_id = int(request.path.partition("?")[0].rpartition("/")[2])
        if schema_id in schemas:
            kind, text = schemas[schema_id]
            with_status(200, {"schema": text, "schemaType": kind})(request)
        else:
            with_status(404, {"error_code": 40403, "message": "Schema not found"})(request)

    with serving(answer) as server:
        registry = Registry(RegistrySettings(server.url))
        try:
            yield registry, server
        finally:
            registry.close()
