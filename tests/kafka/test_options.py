"""Any client reaches the same brokers with the user's options, and secrets never show."""

from pathlib import Path

import pytest

from loadgen.errors import UsageError
from loadgen.kafka.options import KafkaSettings, client_config, hide_secrets, read_options


def test_other_clients_get_the_address_and_the_credentials_only() -> None:
    options = {"sasl.password": "p", "ssl.ca.location": "/ca", "security.protocol": "ssl", "linger.ms": "5"}
    assert client_config(KafkaSettings("b:9092", "t", options)) == {
        "bootstrap.servers": "b:9092", "sasl.password": "p", "ssl.ca.location": "/ca", "security.protocol": "ssl",
    }  # fmt: skip


def test_secrets_show_neither_in_settings_nor_in_texts() -> None:
    options = {"sasl.password": "hunter2", "ssl.key.password": "k3y", "linger.ms": "5", "sasl.jaas.config": "j4as"}
    assert "hunter2" not in repr(KafkaSettings("b", "t", options))
    assert hide_secrets("hunter2 k3y j4as 5", options) == "*** *** *** 5"


def test_a_properties_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("# comment\n! comment\n\nlinger.ms = 5\nsasl.password=a=b#c\nssl.ca.location=\n")
    assert read_options(path) == {"linger.ms": "5", "sasl.password": "a=b#c", "ssl.ca.location": ""}


def test_a_properties_file_may_begin_with_a_byte_order_mark_and_have_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_bytes("\ufefflinger.ms=5\r\n# c\r\n\r\nsasl.password=\u00e9 x\r\n".encode())
    assert read_options(path) == {"linger.ms": "5", "sasl.password": "\u00e9 x"}


def test_a_line_of_a_properties_file_may_go_on_in_the_next(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("sasl.username=a\\\n   b\\\n\tc\n# no\\\nsasl.password=ends in \\\\\nlinger.ms=\\\n7")
    assert read_options(path) == {"sasl.username": "abc", "sasl.password": "ends in \\\\", "linger.ms": "7"}


def test_wrong_options_of_a_properties_file_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("ssl.truststore.location=/x\nsasl.username=a\\\nb\nlinger.ms=7 # comment\nsasl.pasword=hunter2\n")
    with pytest.raises(UsageError) as caught:
        read_options(path)
    assert str(caught.value).splitlines() == [
        f"Kafka has no option 'ssl.truststore.location' ({path}, line 1); that is the Java client's: write "
        "ssl.ca.location, a PEM file (keytool -list -rfc -keystore FILE prints one)",
        f"Kafka option linger.ms must be a number of milliseconds 0..900000, got '7 # comment' ({path}, line 4); "
        "write linger.ms=7",
        f"Kafka has no option 'sasl.pasword' ({path}, line 5); did you mean sasl.password?",
    ]


def test_all_bad_lines_of_a_properties_file_are_named_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("linger.ms=5\nhunter2\n=x\nsasl.password: hunter2=\n")
    with pytest.raises(UsageError) as caught:
        read_options(path)
    assert "line 2: must be name=value" in str(caught.value)
    assert "line 3: must be name=value" in str(caught.value)
    assert "line 4: must be name=value" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_properties_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError, match="check --kafka-config"):
        read_options(tmp_path / "x")
