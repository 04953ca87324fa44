"""What loadgen is measured against: the loops that a person would write first.

    python -m tests.bench.baseline dicts FILE TARGET              build a dict of each event in FILE, dump and write it
    python -m tests.bench.baseline produce ADDRESS TOPIC FILE N send the lines of FILE, N times, a callback each

Each prints one JSON object: events, wall_s, cpu_s (all threads of the process, start-up excluded).
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer

from tests.encode.world import ACTIVITY_FIELDS, SONG_FIELDS

POLL_EVERY = 1000
QUEUE = 1_000_000


def dicts(columns: dict[str, list[Any]], path: str) -> None:
    """Build the dict of each event from its columns, dump it, write it: simulation not included."""
    songs = list(zip(*(columns[name] for name in SONG_FIELDS), strict=True))
    rows = zip(*(columns[name] for name in ACTIVITY_FIELDS), songs, strict=True)
    with open(path, "wb") as file:
        for ts, user_id, session_id, page, method, status, level, item, location, age, song in rows:
            record = {
                "ts": ts,
                "userId": user_id,
                "sessionId": session_id,
                "page": page,
                "method": method,
                "status": status,
                "level": level,
                "itemInSession": item,
                "location": location,
                "age": age,
            }
            if page == "NextSong":
                artist, title, length, tier, popularity = song
                record["artist"] = artist
                record["song"] = title
                record["length"] = length
                record["artist_tier"] = tier
                record["song_popularity"] = popularity
            file.write(orjson.dumps(record))
            file.write(b"\n")


def columns_of(lines: list[bytes]) -> dict[str, list[Any]]:
    """The values of each field, None where an event lacks it."""
    records = [orjson.loads(line) for line in lines]
    return {name: [record.get(name) for record in records] for name in (*ACTIVITY_FIELDS, *SONG_FIELDS)}


def produce(address: str, topic: str, lines: list[bytes], rounds: int) -> None:
    """Send the messages that loadgen sends, encoded already: same key, time and options, a callback each."""
    delivered = 0

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        nonlocal delivered
        delivered += error is None

    producer = Producer(
        {
            "bootstrap.servers": address,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": QUEUE,
        }
    )
    records = [orjson.loads(line) for line in lines]
    keys, times_ms = [b"%d" % record["userId"] for record in records], [record["ts"] for record in records]
    with _measured(len(lines) * rounds):
        for _ in range(rounds):
            for i, (line, key, ts_ms) in enumerate(zip(lines, keys, times_ms, strict=True)):
                producer.produce(topic, line, key, timestamp=ts_ms, on_delivery=on_delivery)
                if i % POLL_EVERY == 0:
                    producer.poll(0)
            while len(producer) > QUEUE // 2:  # room for the next round
                producer.poll(0.01)
        producer.flush()
    if delivered != len(lines) * rounds:
        raise SystemExit(f"the bare loop delivered {delivered} of {len(lines) * rounds}")


class _measured:  # noqa: N801
    """Prints what the block took."""

    def __init__(self, n_events: int) -> None:
        self._n_events = n_events

    def __enter__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.process_time() - self._cpu_s
        print(json.dumps({"events": self._n_events, "wall_s": wall_s, "cpu_s": cpu_s}))


def _dicts(path: str, target: str) -> None:
    columns = columns_of(Path(path).read_bytes().splitlines())
    with _measured(len(columns["ts"])):
        dicts(columns, target)


def _produce(address: str, topic: str, path: str, rounds: str) -> None:
    produce(address, topic, Path(path).read_bytes().splitlines(), int(rounds))


if __name__ == "__main__":
    loops: dict[str, Callable[..., None]] = {"dicts": _dicts, "produce": _produce}
    loops[sys.argv[1]](*sys.argv[2:])
