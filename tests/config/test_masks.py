"""A password never shows, wherever it was put by mistake."""

from pathlib import Path

import pytest

from loadgen.config import ConsumeSettings, RunSettings, VerifySettings, resolve
from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.masks import hidden, without_login, without_logins
from loadgen.errors import UsageError
from loadgen.store import open_store

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user:hunter2@host:9092", "***@host:9092"),
        ("SASL_SSL://user:hunter2@host", "SASL_SSL://***@host"),
        ("'hdfs://user:hunter@2@host/x'", "'hdfs://***@host/x'"),
        ("a:1,user:hunter2@b", "***@b"),
        ("user:hunter 2@b", "***@b"),
        (":hunter2@b", "***@b"),
        ("user@b", "user@b"),
        ("localhost:9092", "localhost:9092"),
    ],
)
def test_a_login_in_front_of_a_host_is_masked(text: str, shown: str) -> None:
    assert without_login(text) == hidden(text) == shown


def test_every_login_in_a_sentence_is_masked() -> None:
    assert without_logins("no u:p@h (x://u:p@h/y), see a: b") == "no ***@h (***@h/y), see a: b"


@pytest.mark.parametrize(
    "flags",
    [
        {"brokers": "user:hunter2@host:9092"},
        {"brokers": ["a:1", "SSL://user:hunter2@host"]},
        {"topic": "user:hunter2@host"},
        {"topic": "sasl.password=hunter2"},
        {"output": "hdfs://user:hunter2@host/x"},
        {"folder": "s3://user:hunter2@host/x"},
        {"report": "http://user:hunter2@host/x.html"},
        {"config": "http://user:hunter2@host/x"},
        {"kafka_config": "http://user:hunter2@host/x"},
        {"shape": "http://user:hunter2@host/x.csv"},
        {"metrics_host": "user:hunter2@host"},
        {"kafka_option": ["sasl.pasword=hunter2"]},
        {"kafka_option": ["SASL_PASSWORD=hunter2"]},
        {"kafka_option": ["security.protocol=SASL_SSL,sasl.password=hunter2"]},
        {"kafka_option": ["client.dns.lookup=user:hunter2@host"]},
        {"kafka_option": ["sasl.password: hunter2 = x"]},
    ],
)
def test_an_error_about_a_run_does_not_show_it(flags: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, flags, {})
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "store", ["hdfs://user:hunter2@host:8020/x", "s3://user:hunter2@host/x", "HDFS://u:hunter2@h/"]
)
def test_a_store_takes_no_login_and_does_not_show_it(store: str) -> None:
    for kind, flags in ((ConsumeSettings, {"store": store, "brokers": "a"}), (VerifySettings, {"files": [store]})):
        with pytest.raises(UsageError) as refused:
            resolve(kind, flags, {})
        assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://user:hunter2@host/x", "hdfs://user:hunter2@host/x", "file://user:hunter2@host"])
def test_a_place_that_is_no_store_does_not_show_it(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_store(url)
    assert PASSWORD not in str(refused.value)


def test_a_name_in_front_of_a_broker_is_answered_with_where_it_belongs() -> None:
    with pytest.raises(UsageError, match=r"without a user name and a password.*sasl\.username.*--kafka-config"):
        resolve(RunSettings, {"brokers": "user@host:9092"}, {})


def test_a_key_of_a_file_that_nobody_knows_does_not_show_it(tmp_path: Path) -> None:
    file = tmp_path / "loadgen.toml"
    file.write_text('"user:hunter2@host" = "x"\n')
    with pytest.raises(UsageError, match=r"unknown key '\*\*\*@host'") as refused:
        resolve(RunSettings, {"config": str(file)}, {})
    assert PASSWORD not in str(refused.value)


def test_a_variable_is_named_and_its_value_is_not_shown() -> None:
    variables = {"LOADGEN_BROKERS": "user:hunter2@host", "LOADGEN_SASL_PASSWORD": PASSWORD}
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, {}, variables)
    assert PASSWORD not in str(refused.value)
    assert "unknown variable 'LOADGEN_SASL_PASSWORD'; did you mean LOADGEN_KAFKA_OPTION_SASL_PASSWORD?" in str(
        refused.value
    )


def test_what_is_no_option_of_kafkas_is_masked_in_manifests_and_reports() -> None:
    options = KafkaOptions({"sasl.pasword": PASSWORD, "linger.ms": "5", "ssl.ca.location": "/run/secrets/ca.pem"})
    assert options.public() == {"sasl.pasword": "***", "linger.ms": "5", "ssl.ca.location": "/run/secrets/ca.pem"}
    assert KafkaOptions({"client.id": "user:hunter2@host"}).public() == {"client.id": "***@host"}
