"""Locust's command line says what `loadgen run` would be told, and is wrong in the same words."""

import pytest

from loadgen.errors import UsageError
from loadgen.runner.console import RunConsole
from loadgen.runner.prepare import prepare
from loadgen.scenarios.engine import EngineShard
from loadgen.scenarios.settings import settings_of, wrong_in_form
from tests.scenarios.worlds import options
from tests.sink.fake_broker import FakeBroker


def test_options_mean_the_settings_of_a_run() -> None:
    words = ("--brokers", "kafka:9092", "--topic", "t", "--speed", "60", "--seed", "9", "--listeners", "5000")
    settings = settings_of(
        options(*words, "--threshold", "failed == 0", "--threshold", "p99(ack) < 1s"), EngineShard(2, 5)
    )
    assert (settings.brokers, settings.topic, settings.speed, settings.seed) == ("kafka:9092", "t", 60.0, 9)
    assert (settings.users, str(settings.shard), settings.workers) == (5000, "2/5", 1)
    assert [str(threshold) for threshold in settings.threshold] == ["failed == 0", "p99(ack) < 1s"]


def test_nothing_need_run_to_try_it_and_time_may_be_compressed_without_events_of_the_future() -> None:
    settings = settings_of(options(), EngineShard())
    assert (settings.embedded, settings.timestamps, settings.presence) == (True, "wall", "online")


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        settings_of(options("--speed", "fast", "--seed", "many"), EngineShard())
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["speed", "seed"]


def test_a_rate_in_numbers_is_refused_with_the_option_to_use() -> None:
    with pytest.raises(UsageError, match=r"natural or max with Locust.*--users"):
        settings_of(options("--rate", "10k/s"), EngineShard())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shape", "spkie"), "did you mean spike"),
        (("--threshold", "p99(ack) < soon"), "p99"),
        (("--cohort", "0"), "must be a number 1..100,000"),
        (("--listeners", "many"), "must be a number 1..10,000,000"),
    ],
)
def test_a_bad_value_ends_locust_before_it_begins(
    words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        options(*words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_batches_of_an_engine_fit_what_the_topic_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeBroker(topics={"t": 2}, config={"max.message.bytes": "100000"}) as broker:
        settings = settings_of(options("--brokers", broker.address, "--topic", "t"), EngineShard())
        plan = prepare(settings, RunConsole(None, None, quiet=True), None)
    assert plan.kafka is not None
    assert plan.kafka.options["batch.size"] == "99488"
    assert "batch.size is 99,488, because topic 't'" in capsys.readouterr().err


def test_an_option_is_also_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADGEN_TOPIC", "from-the-environment")
    assert settings_of(options(), EngineShard()).topic == "from-the-environment"


def test_what_the_page_leaves_empty_was_not_given() -> None:
    empty = options()
    for name in ("rate", "seed", "speed", "topic"):
        setattr(empty, name, "")
    assert settings_of(empty, EngineShard()).speed == settings_of(options(), EngineShard()).speed == 1.0


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"speed": "fast", "user_count": "5"}, "speed must be"),
        ({"listeners": "many"}, "must be a number 1..10,000,000"),
        ({"listeners": "5000", "seed": "7", "rate": ""}, ""),
    ],
)
def test_what_is_wrong_in_the_form_is_told_with_the_next_step(form: dict[str, str], said: str) -> None:
    wrong = wrong_in_form(options(), form)
    assert (said in wrong) if said else wrong == ""
