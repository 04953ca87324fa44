"""The Dockerfiles end as an ordinary user, and copy only what is there and what the engine is sent."""

from pathlib import Path

import pytest

from tests.deploy.files import DOCKERFILES, ROOT, SERVICES, instructions

SENT = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def copied(dockerfile: Path) -> list[str]:
    """What is copied from the build context."""
    lines = [rest.split() for word, rest in instructions(dockerfile) if word == "COPY" and "--from=" not in rest]
    return [source for words in lines for source in words[:-1] if not source.startswith("--")]


def test_every_dockerfile_that_is_built_exists() -> None:
    built = {ROOT / service["build"]["dockerfile"] for service in SERVICES.values() if "build" in service}
    assert built == set(DOCKERFILES)
    assert {service["build"]["context"] for service in SERVICES.values() if "build" in service} == {"."}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_it_ends_as_a_user_with_a_number_that_is_not_root(dockerfile: Path) -> None:
    user = [rest for word, rest in instructions(dockerfile) if word == "USER"][-1]
    assert all(part.isdigit() and int(part) > 0 for part in user.split(":"))
    assert f"--uid {user.split(':')[0]} " in dockerfile.read_text()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_it_copies_what_exists_and_is_sent(dockerfile: Path) -> None:
    sources = copied(dockerfile)
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    sent = [source for source in sources if any(source == path or source.startswith(f"{path}/") for path in SENT)]
    assert sent == sources


def test_everything_else_stays_at_home() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert [path for path in SENT if not (ROOT / path).exists()] == []
    assert "**/__pycache__" in lines[1:]


def test_the_image_of_loadgen_holds_what_was_checked_by_hash_and_no_tools() -> None:
    stages = (ROOT / "deploy/docker/Dockerfile").read_text().split("\nFROM ")
    assert len(stages) == 3
    builder, final = stages[1:]
    assert "--require-hashes --only-binary :all:" in builder
    assert builder.count("pip install") + builder.count("pip wheel") == builder.count("--no-index") - 1
    assert "pip" not in final
    assert "apt" not in final


def test_the_copied_environment_has_the_same_python_in_both_stages() -> None:
    bases = [rest.split()[0] for word, rest in instructions(ROOT / "deploy/docker/Dockerfile") if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
