"""A schema registry that refuses, fails, hangs or is none: one error each, with URL, reason and next step."""

import base64
import gc
import json
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import LoadgenError, RegistryError, RegistryUnreachable, SchemaMissing, UsageError
from loadgen.kafka import registry as module
from loadgen.kafka.registry import Registry, RegistrySettings, subject_of
from tests.kafka.certificates import Certificates
from tests.kafka.http_server import Answer, Request, Server, serving, with_status
from tests.ports import free_port

SCHEMA = '{"type": "record", "name": "E", "fields": []}'


def registered(server: Server, **options: str) -> int:
    """Register the schema."""
    registry = Registry(RegistrySettings(server.url, {name.replace("_", "."): text for name, text in options.items()}))
    try:
        return registry.register("events-value", SCHEMA, "AVRO")
    finally:
        registry.close()


def refused(answer: Answer, **options: str) -> str:
    """The message where a registration is answered like this."""
    with serving(answer) as server, pytest.raises(RegistryError) as caught:
        registered(server, **options)
    assert server.url in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value).replace(server.url, "URL")


def test_a_schema_is_registered_looked_up_compared_and_read_with_one_request_each() -> None:
    answers: dict[str, Any] = {
        "/subjects/events-value/versions": {"id": 7},
        "/subjects/events-value": {"id": 7, "subject": "events-value", "version": 1, "schema": SCHEMA},
        "/compatibility/subjects/events-value/versions/latest": {"is_compatible": False},
        "/schemas/ids/7": {"schema": SCHEMA, "schemaType": "JSON"},
    }
    with serving(lambda request: with_status(200, answers[request.path.partition("?")[0]])(request)) as server:
        registry = Registry(RegistrySettings(server.url))
        assert registry.register("events-value", SCHEMA, "JSON") == 7
        assert registry.look_up("events-value", SCHEMA, "JSON") == 7
        assert registry.is_compatible("events-value", SCHEMA, "JSON") is False
        for _ in range(3):
            schema = registry.schema(7)
            assert (schema.schema_str, schema.schema_type) == (SCHEMA, "JSON")
        registry.close()
    assert [request.path.partition("?")[0] for request in server.requests] == list(answers)
    assert [json.loads(request.body)["schemaType"] for request in server.requests[:3]] == ["JSON"] * 3


@pytest.mark.parametrize(
    ("strategy", "subject"), [("topic", "t-value"), ("record", "a.b.C"), ("topic-record", "t-a.b.C")]
)
def test_subjects_are_named_as_confluents_serializers_name_them(strategy: Any, subject: str) -> None:
    from confluent_kafka.schema_registry import (
        record_subject_name_strategy,
        topic_record_subject_name_strategy,
        topic_subject_name_strategy,
    )
    from confluent_kafka.serialization import MessageField, SerializationContext

    theirs = {
        "topic": topic_subject_name_strategy,
        "record": record_subject_name_strategy,
        "topic-record": topic_record_subject_name_strategy,
    }
    context = SerializationContext("t", MessageField.VALUE)
    assert subject_of(strategy, "t", "a.b.C") == theirs[strategy](context, "a.b.C") == subject


REFUSALS = [
    (
        with_status(401, {"error_code": 401, "message": "Unauthorized"}),
        "cannot register a schema under 'events-value': the schema registry at URL wants a login, or does not know "
        "this one (HTTP 401: Unauthorized); give basic.auth.user.info or bearer.auth.token in --registry-config, or in "
        "LOADGEN_REGISTRY_OPTION_…",
    ),
    (
        with_status(403, {"error_code": 40301, "message": "User is denied operation Write"}),
        "does not allow this user to do so (HTTP 403: User is denied operation Write); let it be allowed",
    ),
    (
        with_status(409, {"error_code": 409, "message": "incompatible: READER_FIELD_MISSING; 'x'\nhas no default"}),
        "finds it incompatible with the schemas before it (HTTP 409: incompatible: READER_FIELD_MISSING, 'x' has no "
        "default); send a compatible one",
    ),
    (
        with_status(422, {"error_code": 42201, "message": "Invalid schema"}),
        "takes it for no valid schema (HTTP 422: Invalid schema); correct the schema",
    ),
    (
        with_status(500, {"error_code": 50001, "message": "Error in the backend data store"}),
        "fails (HTTP 500: Error in the backend data store); look at its log, and try again",
    ),
    (with_status(503, b"<html>down</html>", "text/html"), "fails (HTTP 503); look at its log"),
    (with_status(302, b"", Location="http://127.0.0.1:1/"), "is elsewhere (HTTP 302); name its final URL"),
    (
        with_status(404, b"<html>nginx</html>", "text/html"),
        "answers what no registry does (HTTP 404); correct --schema-",
    ),
    (
        with_status(404, {"error_code": 404, "message": "HTTP 404 Not Found"}),
        "answers what no registry does (HTTP 404: HTTP 404 Not Found); correct --schema-registry",
    ),
    (with_status(418, {"message": "teapot"}), "answers what no registry does (HTTP 418); correct --schema-registry"),
    (with_status(200, b"<html>hello</html>", "text/html"), "answers what no registry does; correct --schema-registry"),
    (with_status(200, [1, 2]), "answers what no registry does; correct --schema-registry"),
    (with_status(200, {"id": "seven"}), "answers what no registry does; correct --schema-registry"),
    (with_status(200, {}), "answers what no registry does; correct --schema-registry"),
    (with_status(204, b""), "answers what no registry does; correct --schema-registry"),
]


@pytest.mark.parametrize(("answer", "said"), REFUSALS, ids=[said[:40] for _, said in REFUSALS])
def test_a_refusal_is_said_with_its_reason_and_the_next_step(answer: Answer, said: str) -> None:
    assert said in refused(answer)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_work_later_is_tried_three_times_and_is_an_error_of_its_own(status: int) -> None:
    with serving(with_status(status, {})) as server, pytest.raises(RegistryUnreachable):
        registered(server)
    assert len(server.requests) == 3


def test_a_registry_that_comes_back_between_two_attempts_is_not_an_error() -> None:
    def answer(request: Request) -> None:
        with_status(503 if len(server.requests) == 1 else 200, {"id": 7})(request)

    with serving(answer) as server:
        assert registered(server) == 7


def test_a_schema_that_is_not_there_is_an_error_of_its_own() -> None:
    with serving(with_status(404, {"error_code": 40403, "message": "Schema 7 not found"})) as server:
        registry = Registry(RegistrySettings(server.url))
        with pytest.raises(SchemaMissing, match=r"cannot get schema 7: .* has none \(HTTP 404: Schema 7 not found\)"):
            registry.schema(7)
        with pytest.raises(SchemaMissing, match="cannot look up a schema under 's'"):
            registry.look_up("s", SCHEMA, "AVRO")
        registry.remove("s")
        registry.close()


def test_a_registry_that_is_away_is_said_soon() -> None:
    url, began_s = f"http://127.0.0.1:{free_port()}/apis/ccompat/v7", time.monotonic()
    registry = Registry(RegistrySettings(url))
    with pytest.raises(RegistryUnreachable) as caught:
        registry.schema(1)
    registry.close()
    assert time.monotonic() - began_s < 5
    assert f"the schema registry at {url} cannot be reached ([Errno 111] Connection refused)" in str(caught.value)
    assert "start it, or name another with --schema-registry" in str(caught.value)


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test waits as long as a user would; what is given up ends before the next test."""
    assert module.DEADLINE_S < 10
    monkeypatch.setattr(module, "DEADLINE_S", 0.8)
    monkeypatch.setitem(module.ATTEMPTS, "timeout", 0.5)
    yield
    for thread in threading.enumerate():
        if thread.name == "call":
            thread.join(5)
    with warnings.catch_warnings(action="ignore"):  # of connections that were open when the client was closed
        gc.collect()


def never(request: Request) -> None:
    """Keep the client waiting."""
    time.sleep(1.5)


def drop_by_drop(request: Request) -> None:
    """Send a byte again and again, so that no single wait is long."""
    request.handler.send_response(200)
    request.handler.end_headers()
    for _ in range(15):
        request.handler.wfile.write(b" ")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [never, drop_by_drop])
@pytest.mark.usefixtures("short_deadlines")
def test_a_registry_that_is_slow_is_given_up_at_the_deadline(answer: Answer) -> None:
    began_s = time.monotonic()
    assert "does not answer within 0.8 s; start it" in refused(answer)
    assert time.monotonic() - began_s < 2


def cut(request: Request) -> None:
    """Close the connection without an answer."""
    request.handler.close_connection = True


def cut_in_the_middle(request: Request) -> None:
    """Promise more than is sent."""
    request.handler.send_response(200)
    request.handler.send_header("Content-Length", "1000")
    request.handler.end_headers()
    request.handler.wfile.write(b'{"id": 7')
    request.handler.close_connection = True


@pytest.mark.parametrize("answer", [cut, cut_in_the_middle])
def test_a_connection_that_is_cut_is_tried_again_and_then_said(answer: Answer) -> None:
    with serving(answer) as server, pytest.raises(RegistryUnreachable, match="cannot be reached"):
        registered(server)
    assert len(server.requests) == 3


def test_basic_and_bearer_logins_are_sent() -> None:
    with serving(with_status(200, {"id": 7})) as server:
        registered(server, basic_auth_user_info="me:my:secret")
        registered(server, bearer_auth_token="t0ken", bearer_auth_logical_cluster="lsrc-1")
        registered(server, bearer_auth_token="t0ken")
    basic, bearer, bare = (request.headers for request in server.requests)
    assert basic["Authorization"] == "Basic " + base64.b64encode(b"me:my:secret").decode()
    assert (bearer["Authorization"], bearer["target-sr-cluster"]) == ("Bearer t0ken", "lsrc-1")
    assert bare["Authorization"] == "Bearer t0ken"


def echo(request: Request) -> None:
    """Answer with what should be kept secret."""
    login = request.headers["Authorization"]
    decoded = base64.b64decode(login.removeprefix("Basic ")) if login.startswith("Basic") else b""
    with_status(500, {"error_code": 50001, "message": f"{login} {decoded.decode()} {decoded[3:].decode()}"})(request)


@pytest.mark.parametrize(
    "option", [{"basic_auth_user_info": "me:hunter2"}, {"bearer_auth_token": "hunter2"}], ids=["basic", "bearer"]
)
def test_a_secret_that_the_registry_sends_back_is_not_shown(option: dict[str, str]) -> None:
    said = refused(echo, **option)
    assert "hunter2" not in said
    assert base64.b64encode(b"me:hunter2").decode() not in said
    assert "***" in said
    assert "hunter2" not in repr(RegistrySettings("http://a", option))


def test_a_long_answer_is_cut() -> None:
    assert len(refused(with_status(422, {"error_code": 42201, "message": "x" * 10_000}))) < 700


def test_a_login_is_not_sent_to_where_a_registry_redirects() -> None:
    with serving(with_status(200, {"id": 7})) as elsewhere:
        assert "is elsewhere" in refused(with_status(307, b"", Location=elsewhere.url), bearer_auth_token="t0ken")
    assert elsewhere.requests == []


def test_without_the_extra_the_line_to_type_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(LoadgenError, match=r"not installed; pip install 'loadgen\[registry\]'"):
        Registry(RegistrySettings("http://localhost:8081"))


def option_problem(**options: str) -> str:
    """What is said to options that do not go together."""
    with pytest.raises(UsageError) as caught:
        Registry(RegistrySettings("https://a:1", {name.replace("_", "."): text for name, text in options.items()}))
    return str(caught.value)


def test_options_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    assert f"ssl.ca.location must be a file that can be read, got '{tmp_path}/ca.pem'" in option_problem(
        ssl_ca_location=f"{tmp_path}/ca.pem"
    )
    (tmp_path / "key.pem").write_text("no key")
    assert "ssl.certificate.location required" in option_problem(ssl_key_location=f"{tmp_path}/key.pem")
    assert "Missing bearer.auth.token" in option_problem(bearer_auth_logical_cluster="a")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server's and a client's certificate."""
    return Certificates(tmp_path_factory.mktemp("tls"))


def test_an_unknown_certificate_is_refused_and_its_authority_makes_it_known(certificates: Certificates) -> None:
    with serving(with_status(200, {"id": 7}), certificates.of_server()) as server:
        with pytest.raises(
            RegistryUnreachable, match=r"CERTIFICATE_VERIFY_FAILED.*; name its CA in .*ssl\.ca\.location"
        ):
            registered(server)
        assert registered(server, ssl_ca_location=certificates.authority) == 7


def test_a_client_shows_its_certificate_whose_key_may_have_a_password(certificates: Certificates) -> None:
    known = {"ssl_ca_location": certificates.authority, "ssl_certificate_location": certificates.client}
    with serving(with_status(200, {"id": 7}), certificates.of_server(asks=True)) as server:
        with pytest.raises(RegistryUnreachable):
            registered(server, ssl_ca_location=certificates.authority)
        assert registered(server, ssl_key_location=certificates.client_key, **known) == 7
        locked = {"ssl_key_location": certificates.locked_key, **known}
        assert registered(server, ssl_key_password="hunter2", **locked) == 7
    said = option_problem(ssl_key_password="hunter2-wrong", **locked)
    assert "does not take these options" in said
    assert "hunter2" not in said


def test_a_password_that_is_missing_is_not_asked_for_on_the_terminal(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda *_, **words: given.append(words["password"]))
    Registry(RegistrySettings("https://a:1", {"ssl.certificate.location": certificates.client})).close()
    assert given == [""]  # OpenSSL asks where there is none
    monkeypatch.undo()
    locked = {"ssl_certificate_location": certificates.client, "ssl_key_location": certificates.locked_key}
    assert "does not take these options" in option_problem(**locked)
