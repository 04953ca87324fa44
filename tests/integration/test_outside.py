"""A package of others goes through a real broker with all that it adds to loadgen."""

from pathlib import Path

import duckdb

from tests.integration.local import Local
from tests.outside.journey import install, journey


def test_all_of_the_package_goes_through_a_real_topic(tmp_path: Path, broker: Local) -> None:
    installed = install(tmp_path / "installed")
    make, consume = ("--create-topic", "--replication-factor", "1"), ("--file-format", "parquet")
    pages = journey(tmp_path, installed, broker.brokers, make, consume)
    stored = f"read_parquet('{tmp_path}/store/year=*/**/*.parquet')"
    counts = "count() FILTER (what = 'lyrics'), count(buffering_s), count(DISTINCT plan)"
    found = duckdb.connect().execute(f"SELECT {counts} FROM {stored}").fetchone()
    assert found == (pages["Lyrics"], pages["NextSong"], 3)
