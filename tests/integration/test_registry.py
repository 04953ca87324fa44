"""The client against a real schema registry: Apicurio's, by Confluent's API."""

import json
import subprocess
from collections.abc import Iterator
from urllib.request import Request, urlopen
from uuid import uuid4

import psutil
import pytest

from loadgen.errors import RegistryError, SchemaMissing
from loadgen.kafka.registry import Registry, RegistrySettings, SchemaKind
from tests.deploy.files import SERVICES
from tests.integration.local import Local

AVRO = {"type": "record", "name": "E", "fields": [{"name": "a", "type": "long"}]}
LATER_AVRO = AVRO | {"fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string", "default": ""}]}
OTHER_AVRO = AVRO | {"fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]}
SCHEMAS: dict[SchemaKind, str] = {
    "AVRO": json.dumps(AVRO),
    "PROTOBUF": 'syntax = "proto3";\npackage tests;\n\nmessage E {\n  int64 a = 1;\n}\n',
    "JSON": json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
}


@pytest.fixture
def client(registry: Local) -> Iterator[Registry]:
    """A client of the registry."""
    client = new_client(registry)
    yield client
    client.close()


def new_client(registry: Local) -> Registry:
    """One that has cached nothing."""
    return Registry(RegistrySettings(registry.registry_url))


@pytest.fixture
def subject() -> str:
    """One that no other test has."""
    return f"{uuid4()}-value"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_of_each_kind_is_registered_once_looked_up_and_read_by_its_id(
    kind: SchemaKind, registry: Local, client: Registry, subject: str
) -> None:
    schema_id = client.register(subject, SCHEMAS[kind], kind)
    other = new_client(registry)
    assert other.register(subject, SCHEMAS[kind], kind) == schema_id
    assert other.look_up(subject, SCHEMAS[kind], kind) == schema_id
    found = other.schema(schema_id)
    other.close()
    assert found.schema_type == kind
    if kind == "PROTOBUF":
        assert (found.schema_str or "").split() == SCHEMAS[kind].split()
    else:
        assert json.loads(found.schema_str or "") == json.loads(SCHEMAS[kind])


def test_an_incompatible_schema_is_refused_and_a_compatible_one_is_taken(
    registry: Local, client: Registry, subject: str
) -> None:
    first = client.register(subject, json.dumps(AVRO), "AVRO")
    level = Request(
        f"{registry.registry_url}/config/{subject}",
        b'{"compatibility": "BACKWARD"}',
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urlopen(level, timeout=10).close()
    assert not client.is_compatible(subject, json.dumps(OTHER_AVRO), "AVRO")
    with pytest.raises(
        RegistryError, match=r"incompatible with the schemas before it \(HTTP 409: .*; send a compatible"
    ):
        client.register(subject, json.dumps(OTHER_AVRO), "AVRO")
    assert client.is_compatible(subject, json.dumps(LATER_AVRO), "AVRO")
    assert client.register(subject, json.dumps(LATER_AVRO), "AVRO") != first


def test_what_is_no_schema_is_refused(client: Registry, subject: str) -> None:
    with pytest.raises(RegistryError, match=r"takes it for no valid schema \(HTTP 422: "):
        client.register(subject, '{"type": "recor"}', "AVRO")


def test_what_is_not_there_is_an_error_of_its_own(client: Registry, subject: str) -> None:
    with pytest.raises(SchemaMissing, match="cannot get schema 999999: "):
        client.schema(999_999)
    with pytest.raises(SchemaMissing, match="cannot look up a schema under "):
        client.look_up(subject, SCHEMAS["AVRO"], "AVRO")
    client.register(subject, SCHEMAS["AVRO"], "AVRO")
    with pytest.raises(SchemaMissing, match="cannot look up a schema under "):
        client.look_up(subject, json.dumps(OTHER_AVRO), "AVRO")


def test_a_subject_that_is_removed_is_gone_and_may_be_removed_again(
    registry: Local, client: Registry, subject: str
) -> None:
    client.register(subject, SCHEMAS["AVRO"], "AVRO")
    client.remove(subject)
    client.remove(subject)
    with urlopen(f"{registry.registry_url}/subjects?deleted=true", timeout=10) as answer:
        assert subject not in json.load(answer)


def test_a_wrong_path_of_the_right_server_is_said(registry: Local) -> None:
    client = Registry(RegistrySettings(registry.registry_url.removesuffix("/apis/ccompat/v7")))
    with pytest.raises(RegistryError, match=r"answers what no registry does .*; .*ends in /apis/ccompat/v7"):
        client.register("s", SCHEMAS["AVRO"], "AVRO")
    client.close()


def test_it_listens_on_loopback_only(registry: Local) -> None:
    process = psutil.Process(registry.pids()["registry"])
    listening = [place.laddr for place in process.net_connections("inet") if place.status == psutil.CONN_LISTEN]
    assert registry.registry_port in {address.port for address in listening}
    assert {address.ip for address in listening} == {"127.0.0.1"}  # another one is the transaction manager's
    assert registry.registry_url in registry.call("status").stdout


def test_the_health_check_of_the_container_is_right_about_it(registry: Local) -> None:
    words = [word.replace("$$", "$") for word in SERVICES["registry"]["healthcheck"]["test"][1:]]
    answers, silent = (
        subprocess.run([word.replace("/8080", f"/{port}") for word in words], capture_output=True).returncode
        for port in (registry.registry_port, 1)
    )
    assert (answers, silent != 0) == (0, True)
