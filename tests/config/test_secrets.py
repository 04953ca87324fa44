"""Passwords are handed on and never shown."""

import pickle

import pytest

from loadgen.config import KafkaOptions, RunSettings, resolve
from loadgen.config.masks import is_secret
from loadgen.config.values import BadValue
from loadgen.errors import UsageError

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "option",
    [
        "sasl.password",
        "SASL.PASSWORD",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.jaas.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
    ],
)
def test_the_value_of_a_secret_option_is_masked(option: str) -> None:
    settings = RunSettings.model_validate({"kafka_option": {option: PASSWORD}})
    assert settings.kafka_option[option] == PASSWORD
    shown = [repr(settings), str(settings), str(settings.kafka_option), repr(settings.public_dict()), f"{settings}"]
    shown += [settings.model_dump_json(), repr(settings.model_dump())]
    assert [text for text in shown if PASSWORD in text] == []
    assert settings.public_dict()["kafka_option"] == {option: "***"}


@pytest.mark.parametrize("option", ["linger.ms", "ssl.key.location", "sasl.username", "ssl.certificate.pem"])
def test_what_is_no_secret_is_shown(option: str) -> None:
    assert not is_secret(option)


def test_a_worker_gets_the_password_with_the_settings() -> None:
    settings = RunSettings(kafka_option=KafkaOptions({"sasl.password": PASSWORD}))
    assert pickle.loads(pickle.dumps(settings)).kafka_option == {"sasl.password": PASSWORD}


def test_a_password_may_come_from_a_variable() -> None:
    resolved = resolve(RunSettings, {}, {"LOADGEN_KAFKA_OPTION_SASL_PASSWORD": PASSWORD})
    assert resolved.settings.kafka_option == {"sasl.password": PASSWORD}
    assert resolved.origins["kafka_option"] == "from LOADGEN_KAFKA_OPTION_SASL_PASSWORD"


@pytest.mark.parametrize(
    "text", [f"sasl.password:{PASSWORD}", PASSWORD, f"sasl password={PASSWORD}", f"sasl.password={PASSWORD}\0"]
)
def test_a_wrong_option_is_reported_without_its_value(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, {"kafka_option": [text]}, {})
    assert PASSWORD not in str(refused.value)
    assert "--kafka-option" in str(refused.value)


def test_tables_in_tables_are_dotted_names() -> None:
    assert KafkaOptions.parsed({"linger": {"ms": 5}, "enable.idempotence": True}) == {
        "linger.ms": "5",
        "enable.idempotence": "true",
    }


def test_the_value_of_an_option_may_hold_an_equals_sign_and_a_comma() -> None:
    assert KafkaOptions.parsed(["ssl.cipher.suites=A,B=C"]) == {"ssl.cipher.suites": "A,B=C"}


def test_an_option_without_a_value_of_its_own_is_refused() -> None:
    with pytest.raises(BadValue, match=r"must give linger\.ms a text"):
        KafkaOptions.parsed({"linger": {"ms": [5]}})
