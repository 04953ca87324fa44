"""A run watches an application of Kafka Streams: how far it is behind, and the highest rate that it sustains."""

import os
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.local import Local
from tests.integration.streams import copying
from tests.runner.program import start

LIMIT_PER_S = 3000
CLOSE = 0.05
FULL_S = 40
"""Trials so long tell 5 % from what a busy machine does; CI's are shorter, and its answer less exact."""
SMALL = ("--users", "2000", "--workers", "1", "--start", "2026-01-05")


@pytest.mark.timeout(1600)
def test_the_search_finds_the_rate_to_which_an_application_is_throttled(broker: Local, tmp_path: Path) -> None:
    trial_s = int(os.environ.get("TEST_TRIAL_S", "15"))
    admin = AdminClient({"bootstrap.servers": broker.brokers})
    made = admin.create_topics(
        [NewTopic(name, num_partitions=4, replication_factor=1) for name in ("throttled", "copied")]
    )
    assert [one.result(20) for one in made.values()] == [None, None]
    with copying(tmp_path, broker.brokers, "throttled-app", "throttled", "copied", most_per_s=LIMIT_PER_S):
        search = ("--find-max-rate", "--rate", "2700/s", "--duration", f"{trial_s}s", "--wait-caught-up", "2m")
        limit = f"behind(throttled-app) < {round(1000 * CLOSE * trial_s)}ms over 2s abort"
        kept = ("--watch-group", "throttled-app", "--threshold", limit, "--warm-up", "2s")
        where = ("--brokers", broker.brokers, "--topic", "throttled")
        first = (
            "--rate",
            "1k/s",
            "--duration",
            "5s",
            "--seed",
            "2",
            "--wait-caught-up",
            "1m",
        )  # Java compiles meanwhile
        code, summary, shown = start(tmp_path, *SMALL, *where, *first, "--watch-group", "throttled-app").end(120)
        assert (code, summary["groups"][0]["lag"]) == (0, 0), shown
        code, found, shown = start(tmp_path, *SMALL, *where, *search, *kept).end(1500)
    assert code == 0, shown
    assert found["max_rate_per_s"] == pytest.approx(LIMIT_PER_S, rel=CLOSE if trial_s == FULL_S else 2 * CLOSE), shown
