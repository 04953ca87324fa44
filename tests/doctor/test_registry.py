"""The doctor's check of a schema registry, against one that keeps schemas and has faults."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadgen.doctor.checks import Mark
from loadgen.doctor.registry import RegistryTrial
from loadgen.errors import RegistryError
from loadgen.kafka.registry import RegistrySettings
from tests.doctor.program import left_in, visited
from tests.kafka.fake_registry import running
from tests.kafka.http_server import Request, serving, with_status
from tests.ports import free_port


class Kept:
    """Answers as a registry with one schema would.

    Attributes:
        schema: what is registered.
        given_back: what it gives for that instead; None: the same.
        is_compatible: what it says of any other schema.
        removed: the queries of removals.
    """

    def __init__(self, given_back: str | None = None, is_compatible: bool = True) -> None:
        self.schema, self.given_back, self.is_compatible = "", given_back, is_compatible
        self.removed: list[str] = []

    def __call__(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        found: Any = {"id": 5}
        if request.method == "DELETE":
            self.removed.append(query)
            found = [1]
        elif path.startswith("/compatibility"):
            found = {"is_compatible": self.is_compatible}
        elif path == "/schemas/ids/5":
            found = {"schema": self.given_back or self.schema}
        else:
            assert path.startswith("/subjects/loadgen-doctor-")
            self.schema = json.loads(request.body)["schema"]
        with_status(200, found)(request)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a short path, as runs make sockets in the folder of temporary files."""
    return tmp_path_factory.mktemp("d")


def test_a_registry_that_works_is_ticked_off_and_left_as_it_was(folder: Path) -> None:
    with running() as registry:
        code, found, said = visited(folder, "--port", str(free_port()), "--schema-registry", registry.url)
    assert (code, found["registry"], found["encoded"], found["through"]) == (0, "ok", "ok", "ok"), said
    assert f"✓ schema registry {registry.url}: registers, compares and gives back schemas" in said
    assert "✓ avro, protobuf, jsonschema: sent with keys and headers, read back, decoded by their schemas' ids" in said
    subjects = {subject for subject, _ in registry.schemas}
    assert len(subjects) == 4
    assert subjects == set(registry.removed)
    assert left_in(folder) == []


def test_an_encoding_that_the_registry_does_not_take_is_said(folder: Path) -> None:
    with running() as registry:
        registry.refused = "PROTOBUF"
        code, found, said = visited(folder, "--port", str(free_port()), "--schema-registry", registry.url)
    assert (code, found["registry"], found["encoded"], found["through"]) == (1, "ok", "failed", "ok"), said
    assert "✗ encodings: loadgen run: " in said
    assert {subject for subject, _ in registry.schemas} == set(registry.removed)
    assert left_in(folder) == []


def test_a_registry_that_wants_a_login_is_said_with_the_next_step_and_no_secret(tmp_path: Path) -> None:
    secret = {"LOADGEN_REGISTRY_OPTION_BASIC_AUTH_USER_INFO": "me:hunter2"}
    with serving(with_status(401, {"error_code": 401, "message": "me:hunter2 is wrong"})) as server:
        flags = ("--port", str(free_port()), "--schema-registry", server.url)
        code, found, said = visited(tmp_path, *flags, env=secret)
    assert (code, found["registry"], found["through"]) == (1, "failed", "ok"), said
    assert "wants a login, or does not know this one (HTTP 401: *** is wrong)" in said
    assert "    → give basic.auth.user.info or bearer.auth.token" in said
    assert "hunter2" not in said
    assert "left behind" not in said


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (Kept(given_back='{"type": "string"}'), "gives back another schema"),
        (Kept(given_back="syntax = proto3"), "is no JSON"),
        (Kept(is_compatible=False), "compares schemas wrongly"),
    ],
)
def test_a_registry_that_answers_wrongly_is_said(kept: Kept, said: str) -> None:
    with serving(kept) as server:
        trial = RegistryTrial(RegistrySettings(server.url), "abc")
        finding = trial.tried()
        trial.remove()
    assert (finding.mark, said in finding.said) == (Mark.BAD, True), finding


def test_a_subject_that_cannot_be_removed_is_an_error() -> None:
    with serving(with_status(403, {"error_code": 40301, "message": "no"})) as server:
        trial = RegistryTrial(RegistrySettings(server.url), "abc")
        with pytest.raises(RegistryError, match="cannot remove subject 'loadgen-doctor-abc-value'"):
            trial.remove()
