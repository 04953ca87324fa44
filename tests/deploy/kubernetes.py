"""The manifests of deploy/k8s as Python values, and what a container of them runs."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.files import ROOT

FOLDER = ROOT / "deploy/k8s"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
_FILES = [*(FOLDER / name for name in KUSTOMIZATION["resources"]), FOLDER / "monitoring/monitors.yaml"]
DOCUMENTS: list[dict[str, Any]] = [one for path in _FILES for one in yaml.safe_load_all(path.read_text())]
OWN = [one for one in DOCUMENTS if one["apiVersion"] != "monitoring.coreos.com/v1"]
"""Those of a kind that Kubernetes itself has."""
PODS: dict[str, dict[str, Any]] = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in OWN if "template" in one.get("spec", {})
}


def named(name: str, kind: str) -> dict[str, Any]:
    """The document of this name and kind."""
    return next(one for one in DOCUMENTS if (one["metadata"]["name"], one["kind"]) == (name, kind))


def container(pod: str) -> dict[str, Any]:
    """The one container of a pod."""
    (only,) = PODS[pod]["containers"]
    found: dict[str, Any] = only
    return found


def words(pod: str, **variables: str) -> list[str]:
    """The command and its arguments, with $(NAME) filled in as Kubernetes does."""
    one = container(pod)
    values = {variable["name"]: variable.get("value", "") for variable in one.get("env", [])} | variables
    given = [*one.get("command", ["loadgen"]), *one.get("args", [])]
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in given]


def here(command: list[str], etc: Path, lib: Path) -> list[str]:
    """A pod's command with its folders in other places."""
    return [word.replace("/etc/loadgen", str(etc)).replace("/var/lib/loadgen", str(lib)) for word in command]
