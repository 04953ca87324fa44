"""What a pipeline can be told."""

import sys
from typing import Any

import pytest

from loadgen.config import PipelineSettings, resolve
from loadgen.errors import UsageError


def problems(**flags: Any) -> list[str]:
    """The lines of the UsageError that these flags cause."""
    with pytest.raises(UsageError) as refused:
        resolve(PipelineSettings, flags, {})
    return str(refused.value).splitlines()


def test_it_needs_no_flag_and_nothing_installed_and_goes_on_until_ctrl_c() -> None:
    settings = PipelineSettings()
    assert (settings.embedded, settings.store, settings.port, settings.users) == (True, "music_events", 5001, 10_000)
    assert (settings.continuous, settings.duration_s, settings.host) == (True, None, "127.0.0.1")
    assert PipelineSettings(brokers="embedded").embedded
    assert not PipelineSettings(brokers="a:1").embedded


def test_a_duration_ends_it() -> None:
    settings = resolve(PipelineSettings, {"duration_min": "90s"}, {}).settings
    assert (settings.continuous, settings.duration_s) == (False, 90.0)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_page_stays_where_somebody_can_press_ctrl_c(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_terminal)
    assert PipelineSettings().stay is is_terminal
    assert PipelineSettings(stay=not is_terminal).stay is not is_terminal
    monkeypatch.setattr(sys, "stdin", None)
    assert not PipelineSettings().stay


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"continuous": True, "duration_min": "1"},
            "a continuous pipeline has no end of its own, got continuous True (from --continuous) and duration '1' "
            "(from --duration); keep one of the two (--no-continuous overrides a file)",
        ),
        (
            {"continuous": False},
            "a pipeline that is not continuous needs an end, got continuous False (from --continuous) and duration "
            "none (default); add --duration MIN",
        ),
        (
            {"rate": "max"},
            "the test broker in memory keeps 5 MiB of each partition, got rate 'max' (from --rate) and brokers none "
            "(default); name a rate such as 2000/s, or add --brokers HOST:PORT",
        ),
        (
            {"create_topic": True},
            "create-topic needs a broker, got create_topic True (from --create-topic) and brokers none (default); "
            "add --brokers HOST:PORT",
        ),
        (
            {"users": "3", "workers": "4"},
            "workers must be 1..3 (no more than users, no more than 256), got workers '4' (from --workers) and users "
            "'3' (from --users); lower --workers",
        ),
    ],
)
def test_each_broken_rule_is_one_line(flags: dict[str, Any], line: str) -> None:
    assert problems(**flags) == [line]


def test_settings_can_be_written_down_and_read_again() -> None:
    settings = PipelineSettings.model_validate({"brokers": "a:1", "rate": "5/s", "duration_min": 2})
    assert PipelineSettings.from_public(settings.public_dict()) == settings
