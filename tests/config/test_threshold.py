"""What a threshold's text means, and what is said of one that means nothing."""

import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.cli.commands import RUN
from loadgen.config.thresholds import COUNTS, GAUGES, LATENCIES, RATES, Figure, Threshold, expressions, threshold
from loadgen.config.values import BadValue
from loadgen.errors import UsageError

N_FUZZ = int(os.environ.get("TEST_FUZZ", "1000"))


def meant(text: str) -> tuple[str, str, float, str | None, float | None, bool]:
    """What was read, in pieces."""
    found = threshold(text)
    reference = None if found.reference is None else str(found.reference)
    return str(found.figure), found.op, found.factor, reference, found.over_s, found.abort


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("p99(ack) < 50ms over 30s", ("p99(ack)", "<", 0.05, None, 30.0, False)),
        ("rate >= 0.99 * target", ("rate", ">=", 0.99, "target", None, False)),
        ("failed == 0", ("failed", "==", 0.0, None, None, False)),
        ("failed==0 abort", ("failed", "==", 0.0, None, None, True)),
        ("  rate>=99%*target   over 1.2s abort ", ("rate", ">=", 0.99, "target", 2.0, True)),
        ("rate >= target * 0.5", ("rate", ">=", 0.5, "target", None, False)),
        ("rate >= target * 50%", ("rate", ">=", 0.5, "target", None, False)),
        ("rate >= target", ("rate", ">=", 1.0, "target", None, False)),
        ("dropped <= 0.1 % * planned", ("dropped", "<=", 0.001, "planned", None, False)),
        ("p99(latency) <= 3 * p50(latency)", ("p99(intended_to_ack)", "<=", 3.0, "p50(intended_to_ack)", None, False)),
        ("max(schedule_lag) < 2s over 1h", ("max(schedule_lag)", "<", 2.0, None, 3600.0, False)),
        ("mean ( ack ) != 200us", ("mean(ack)", "!=", 2e-4, None, None, False)),
        ("max(ack) < 1.5 min abort", ("max(ack)", "<", 90.0, None, None, True)),
        ("rate > 100k/s", ("rate", ">", 1e5, None, None, False)),
        ("rate > 6k/min", ("rate", ">", 100.0, None, None, False)),
        ("target > 1_000", ("target", ">", 1000.0, None, None, False)),
        ("delivered >= 1.5M", ("delivered", ">=", 1.5e6, None, None, False)),
        ("in_flight < 10k abort", ("in_flight", "<", 10_000.0, None, None, True)),
        ("active >= 900 over 10", ("active", ">=", 900.0, None, 10.0, False)),
    ],
)
def test_a_threshold_is_read_as_it_is_written(text: str, meaning: tuple[object, ...]) -> None:
    assert meant(text) == pytest.approx(meaning)


@pytest.mark.parametrize(
    ("name", "quantile"),
    [("p50", 0.5), ("p5", 0.05), ("p90", 0.9), ("p95", 0.95), ("p99.9", 0.999), ("p999", 0.999), ("p9999", 0.9999)],
)
def test_percentiles_are_written_with_a_point_or_without(name: str, quantile: float) -> None:
    figure = threshold(f"{name}(ack) < 1s").figure
    assert figure.quantile == pytest.approx(quantile, abs=1e-12)
    assert (figure.of, figure.kind, str(figure)) == ("ack", "time", f"{name}(ack)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99(ak) < 5ms", "there is no 'p99(ak)': did you mean p99(ack)?"),
        ("p99(intended-to-ack) < 5ms", "did you mean p99(intended_to_ack)?"),
        ("faild == 0", "did you mean failed?"),
        ("rate >= 0.99 * taget", "did you mean target?"),
        ("wombat == 0", "there are pNN, mean or max of ack, intended_to_ack, schedule_lag, end_to_end, latency;"),
        ("p99 < 5ms", "say of what: p99(ack), p99(intended_to_ack) or p99(schedule_lag)"),
        ("max < 5ms", "say of what: max(ack)"),
        ("ack < 5ms", "say which figure of it: p99(ack), mean(ack) or max(ack)"),
        ("p100(ack) < 5ms", "a percentile is between 0 and 100: the largest is max(ack)"),
        ("p0(ack) < 5ms", "a percentile is between 0 and 100"),
        ("p123(ack) < 5ms", "there is no 'p123(ack)'"),
        ("p99(ack) < 50", "must hold p99(ack) against a time; write for example 50ms, 200us or 2s"),
        ("p99(ack) < 50k", "must hold p99(ack) against a time"),
        ("failed == 1ms", "must hold failed against a number; write for example 0, 500 or 10k"),
        ("rate > 1s", "must hold rate against a number of events per second; write for example 100k/s or 2500"),
        ("failed < p99(ack)", "must compare like with like: failed is a number, p99(ack) is a time"),
        ("rate > 0.5 * delivered", "rate is a number of events per second, delivered is a number"),
        ("rate > 5/s * target", "must have a plain number or a percentage beside the *"),
        ("rate > 2 * 3", "there is no '3'"),
        ("failed = 0", "must be FIGURE OP VALUE [over DURATION] [abort], OP one of < <= > >= == !="),
        ("failed == 0 over", "must hold failed against a number"),
        ("1 < failed < 2", "must be FIGURE OP VALUE"),
        ("failed", "must be FIGURE OP VALUE"),
        ("", "write for example 'p99(ack) < 50ms over 30s'"),
        ("failed == 0" + " " * 50 + "0" * 200, "must be FIGURE OP VALUE"),
        ("max(ack) < 1s over 0.5s", "must say over what time: that must be a duration of 1 s to 3600 s"),
        ("max(ack) < 1s over 2h", "write for example 30s or 5m"),
        ("rate >= 10 abort", "write for example 'rate >= 10 over 10s abort'"),
        ("failed >= 1 abort", "must say over DURATION where it says abort"),
        ("failed <= 1% * planned abort", "must say over DURATION where it says abort"),
        ("p99(ack) < 1s abort", "but for the upper limit of a count or of a max"),
    ],
)
def test_what_is_no_threshold_is_refused_with_the_next_step(text: str, said: str) -> None:
    with pytest.raises(BadValue) as caught:
        threshold(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, 0.5, True, ["failed == 0"], {}])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(BadValue, match="must be FIGURE OP VALUE"):
        threshold(value)


def test_several_are_given_as_a_list_or_with_semicolons_between_them() -> None:
    three = ["failed == 0", "dropped == 0", "rate > 5"]
    assert expressions("failed == 0; dropped == 0 ;rate > 5;") == three
    assert expressions([three[0], "; ".join(three[1:])]) == three
    assert expressions(" ; ") == [""]  # which is none
    assert expressions(5) == [5]


def test_every_bad_threshold_is_reported_with_its_own_text() -> None:
    with pytest.raises(UsageError) as caught:
        RUN.parse(["--threshold", "faild == 0", "--threshold", "failed == 0", "p99(ak) < 1s", "--users", "x"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert sum(line.startswith("users must be") for line in lines) == 1
    for text in ("faild == 0", "p99(ak) < 1s"):
        start = f"threshold must name figures that there are, got '{text}' (from --threshold); there is no "
        assert sum(line.startswith(start) for line in lines) == 1


@pytest.mark.parametrize("pace", [["--rate", "max"], ["--end", "+1d"]])
def test_a_run_that_is_not_paced_has_no_target(pace: list[str]) -> None:
    for expr in ("rate >= 0.9 * target", "target > 5"):
        with pytest.raises(UsageError, match=r"a run that is not paced has no target, got threshold .*; hold rate"):
            RUN.parse(["--threshold", expr, *pace])
    assert RUN.parse(["--threshold", "rate >= 5", *pace]).settings.threshold


def test_a_warm_up_is_shorter_than_the_run() -> None:
    with pytest.raises(UsageError, match="the warm-up must be shorter than the run, got warm_up '60'"):
        RUN.parse(["--warm-up", "60", "--duration", "1"])
    assert RUN.parse(["--warm-up", "59s", "--duration", "1"]).settings.warm_up_s == 59.0
    assert RUN.parse(["--warm-up", "1h", "--events", "10"]).settings.warm_up_s == 3600.0


def test_settings_with_thresholds_come_back_from_the_manifest() -> None:
    words = ["--threshold", "failed == 0; p99.9(latency) < 1s over 5s abort", "--warm-up", "2", "--percentile-log", "x"]
    settings = RUN.parse(words).settings
    public = settings.public_dict()
    assert public["threshold"] == ["failed == 0", "p99.9(latency) < 1s over 5s abort"]
    assert type(settings).from_public(public) == settings
    assert [found.abort for found in settings.threshold] == [False, True]


figures = st.sampled_from(
    [*COUNTS, *RATES, *GAUGES, *(f"{name}({of})" for of in LATENCIES for name in ("p99", "p99.9", "max", "mean"))]
)
noise = st.text(st.sampled_from("p9.(ack)<>=! *%0ms;overabt _\0é"), max_size=30) | st.text(max_size=20)
pieces = st.one_of(
    figures,
    st.sampled_from(("<=", ">=", "==", "!=", "<", ">")),
    st.sampled_from(
        ["50ms", "0", "1_0.5k/s", "99%", "*", "over", "30s", "abort", "over 5s abort", " ", "9" * 500, "1e99"]
    ),
    st.floats().map(str),
    noise,
)
texts = st.lists(pieces, max_size=8).flatmap(lambda parts: st.sampled_from([" ".join(parts), "".join(parts)])) | noise


@pytest.mark.timeout(60 + N_FUZZ // 20)
@given(text=texts)
@settings(max_examples=N_FUZZ)
def test_any_text_is_a_threshold_or_refused_in_words(text: str) -> None:
    refused = None
    try:
        found = threshold(text)
    except BadValue as bad:
        refused = bad
    if refused is not None:
        assert refused.rule.startswith("must ")
        assert len(str(refused)) < 500
        return
    assert isinstance(found, Threshold)
    assert threshold(str(found)) == found
    assert found.factor >= 0
    assert math.isfinite(found.factor)
    assert isinstance(found.figure, Figure)
