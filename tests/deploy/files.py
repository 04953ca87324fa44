"""The files for Docker, Prometheus and Grafana as Python values.

In: the repository. Out: dictionaries with every default of YAML's merge keys filled in, and small readers of their
notations.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
_UNITS = {"k": 1024, "m": MIB, "g": 1024 * MIB}


def load(path: str) -> dict[str, Any]:
    """A YAML file of the repository."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return loaded


COMPOSE = load("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = ("topic",)
KAFKA = {name: service for name, service in SERVICES.items() if name.startswith("kafka-")}
DOCKERFILES = sorted((ROOT / "deploy/docker").rglob("Dockerfile"))
DASHBOARDS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))}
QUERIES = {
    f"{board['title']} / {panel['title']} / {target['legendFormat']}": target["expr"]
    for board in DASHBOARDS.values()
    for panel in board["panels"]
    for target in panel.get("targets", [])
}
"""Every query of every panel, by where it is."""
RULE_FILES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
RULE_TESTS = sorted((ROOT / "deploy/prometheus/tests").glob("*.yml"))
RULES = [rule for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
"""What Prometheus works out: the name of the series → an expression that makes it."""


def listeners(text: str) -> dict[str, tuple[str, int]]:
    """Kafka's notation of listeners: name → (host, port)."""
    found = re.findall(r"(\w+)://([^:,]*):(\d+)", text)
    return {name: (host, int(port)) for name, host, port in found}


def n_bytes(text: str) -> int:
    """A size as Compose writes it: 832m, 1g."""
    return int(text[:-1]) * _UNITS[text[-1]]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Target in the container → what is mounted there: a volume's name, or ./path on the host."""
    return {parts[1]: parts[0] for parts in (volume.split(":") for volume in service.get("volumes", []))}


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]
