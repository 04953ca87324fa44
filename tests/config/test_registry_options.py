"""How a schema registry is named and reached: checked before it is asked, secrets hidden."""

from pathlib import Path

import pytest

from loadgen.config import DoctorSettings, resolve
from loadgen.config.registry_options import RegistryOptions
from loadgen.errors import UsageError
from loadgen.kafka.options import options_of


def problems(**flags: object) -> str:
    """What is said to these flags."""
    with pytest.raises(UsageError) as refused:
        resolve(DoctorSettings, flags, {})
    return str(refused.value)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://localhost:8081", "http://localhost:8081"),
        ("https://registry.example/apis/ccompat/v7/", "https://registry.example/apis/ccompat/v7"),
        ("http://a:1, http://[::1]:2/", "http://a:1,http://[::1]:2"),
    ],
)
def test_a_url_is_taken(given: str, taken: str) -> None:
    assert resolve(DoctorSettings, {"schema_registry": given}, {}).settings.schema_registry == taken


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://a", "http://", "http://a b", "http://a?x=1", "http://a,", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    assert "schema_registry must be http://HOST:PORT or https://HOST:PORT" in problems(schema_registry=url)


def test_a_login_in_a_url_is_answered_with_where_it_belongs() -> None:
    said = problems(schema_registry="https://me:hunter2@registry:8081")
    assert "set basic.auth.user.info in --registry-config" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "basic.auth.user.inf=me:hunter2",
            "has no option 'basic.auth.user.inf' (from --registry-option); did you mean",
        ),
        ("schema.registry.basic.auth.user.info=me:hunter2", "did you mean basic.auth.user.info?"),
        ("schema.registry.url=http://me:hunter2@a", "name the registry by --schema-registry"),
        ("basic.auth.credentials.source=USER_INFO", "leave it out: it follows from basic.auth.user.info"),
        ("schema.registry.ssl.truststore.location=a.jks", "write ssl.ca.location, a PEM file"),
        ("basic.auth.user.info=hunter2", "must be USER:PASSWORD, got no colon (from --registry-option)"),
        ("bearer.auth.token=hunter2\nX-Header: 1", "must be ASCII on one line"),
        ("bearer.auth.token=hunter2ü", "must be ASCII on one line"),
        ("max.retries=100", "has no option 'max.retries'"),
    ],
)
def test_a_wrong_option_is_named_with_the_right_one_and_without_its_value(option: str, said: str) -> None:
    found = problems(registry_option=[option])
    assert said in found
    assert "hunter2" not in found


def test_options_are_merged_from_flag_variable_and_file_and_secrets_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "registry.properties"
    file.write_text("basic.auth.user.info=me:file\nssl.ca.location=/ca.pem\n")
    variables = {"LOADGEN_REGISTRY_OPTION_BASIC_AUTH_USER_INFO": "me:hunter2", "LOADGEN_REGISTRY_CONFIG": str(file)}
    settings = resolve(DoctorSettings, {"registry_option": ["proxy=http://me:hunter2@p:1"]}, variables).settings
    assert options_of(settings.registry_option, settings.registry_config) == {
        "basic.auth.user.info": "me:hunter2",
        "ssl.ca.location": "/ca.pem",
        "proxy": "http://me:hunter2@p:1",
    }
    shown = [repr(settings), settings.model_dump_json(), str(settings.public_dict())]
    assert [text for text in shown if "hunter2" in text] == []
    assert settings.public_dict()["registry_option"] == {"basic.auth.user.info": "***", "proxy": "http://***@p:1"}


def test_a_wrong_line_of_the_file_is_named_and_the_flag_too_where_it_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "registry.properties"
    file.write_text("bearer.token=hunter2\n")
    with pytest.raises(
        UsageError, match=r"no option 'bearer\.token' \(.*, line 1\); did you mean bearer\.auth\.token\?"
    ):
        options_of(RegistryOptions(), file)
    with pytest.raises(UsageError, match="check --registry-config"):
        options_of(RegistryOptions(), tmp_path / "nowhere")
