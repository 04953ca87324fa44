"""TLS and SASL/SCRAM against a real broker: the right password works, all else is refused in words."""

from pathlib import Path

import pytest

from tests.integration.local import Local
from tests.integration.proof import PARTITIONS, assert_delivered_once
from tests.runner.program import start

EVENTS = ("--events", "2000", "--rate", "max", "--seed", "9")


def secure_flags(local: Local, topic: str) -> tuple[str, ...]:
    """Flags for the TLS listener."""
    made = ("--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", "1")
    return ("--brokers", f"127.0.0.1:{local.kafka_port + 200}", "--topic", topic, *made, *EVENTS)


def client_properties(local: Local) -> Path:
    """What services.py has written for clients."""
    return local.data / "kafka" / "client.properties"


def password(local: Local) -> str:
    """The one in it."""
    return client_properties(local).read_text().rpartition("=")[2].strip()


def test_events_arrive_over_tls_with_the_right_password(tmp_path: Path, broker: Local) -> None:
    flags = (*secure_flags(broker, "tls"), "--kafka-config", str(client_properties(broker)))
    code, summary, shown = start(tmp_path, *flags).end()
    assert code == 0, shown
    assert password(broker) not in shown + (tmp_path / summary["manifest"]).read_text()
    assert_delivered_once(tmp_path, summary, broker.brokers, "tls")


@pytest.mark.parametrize(
    ("option", "said"),
    [("sasl.password=wrong-one", "(SASL)"), ("ssl.ca.location=", "(TLS)"), ("sasl.mechanisms=PLAIN", "(SASL)")],
)
def test_a_wrong_setting_is_refused_in_words_and_soon(tmp_path: Path, broker: Local, option: str, said: str) -> None:
    name = option.partition("=")[0]
    kept = [line for line in client_properties(broker).read_text().splitlines() if not line.startswith(name)]
    mine = tmp_path / "client.properties"
    mine.write_text("\n".join([*kept, *([] if option.endswith("=") else [option])]) + "\n")
    code, _, shown = start(tmp_path, *secure_flags(broker, "refused"), "--kafka-config", str(mine)).end(25.0)
    assert code == 1
    assert f"refused access {said}" in shown
    assert "wrong-one" not in shown
    assert password(broker) not in shown
