"""Produces events to a Kafka topic, and knows of every event what became of it.

In: lines. Out: a tally, and `settled` per partition. One lane per partition; a listener's partition is computed once,
as the Java client would. How events get to the producer: outbox.py. How they are counted without a report for each:
lanes.py. What is left at the end: readback.py.

A producer belongs to the process that made it: make the sink inside the worker. One that will never connect again
(`Monitor.is_stranded`) is replaced: nothing of it is on its way any more, so the topic tells what has arrived, and its
successor is given the rest.
"""

import time
from collections.abc import Mapping

import numpy as np
from confluent_kafka import Producer

from loadgen.event import Int64s, UInt16s
from loadgen.kafka.errors import stopped
from loadgen.kafka.monitor import BrokerStats
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.partition import murmur2_partitions
from loadgen.ledger import Outcome, Tally
from loadgen.progress import Progress
from loadgen.sink import EncodedBatch
from loadgen.sink.batching import runs
from loadgen.sink.in_flight import NO_OFFSET, Bools, Group, Lanes
from loadgen.sink.kafka_options import producer_config
from loadgen.sink.producer import POLL_S, Connect, Outbox
from loadgen.sink.readback import Doubt, read_back

MAX_SEND = 16_384
"""Events taken at a time, so that reports are taken in between and latencies are seen soon."""
OVERHEAD_BYTES = 64
"""What a message may add to its value in the producer's own count of bytes."""
FIRST_GUESS_BYTES = 300
"""Size of a line before the first is seen."""
READ_BACK_S = 3.0


class KafkaSink:
    """One producer, one topic.

    Attributes:
        name, tally, lane_of_row, settled, progress: see `Sink`.
        stats: the broker's figures, about once a second.
        last_errors: the last few things that librdkafka complained of, without secrets.
    """

    name = "kafka"

    def __init__(
        self,
        settings: KafkaSettings,
        user_ids: Int64s,
        settled: Int64s | None = None,
        *,
        before: Progress | None = None,
        n_partitions: int | None = None,
        topic_ends: Mapping[int, int] | None = None,
        connect: Connect = Producer,
    ) -> None:
        """Make the producer; does not wait for a broker when n_partitions is given.

        Args:
            settings: where and how.
            user_ids: int64, the shard's listeners by row.
            settled: int64[n_partitions], from a predecessor's snapshot; None for a fresh start.
            before: `progress` of the same snapshot.
            n_partitions: of the topic; None asks the broker.
            topic_ends: partition → one past its last offset before the run; where it is missing, the first report of
                a partition proves nothing of the events before, and reading back may begin at its first offset.
            connect: makes the producer from a configuration and a logger.

        Raises:
            UsageError: librdkafka does not take the options.
            BrokerUnreachable, TopicMissing: when the broker has to be asked, and does not say.
        """
        config = producer_config(settings)
        self._settings, self._connect = settings, connect
        self._outbox = Outbox(settings, connect)
        n_lanes = n_partitions or self._outbox.ask_partitions()
        self.lane_of_row: UInt16s = murmur2_partitions(user_ids, n_lanes)
        self.settled = np.zeros(n_lanes, np.int64) if settled is None else settled.copy()
        self.tally = Tally()
        self._outbox.lanes = self._lanes = Lanes(n_lanes, self.tally, self.settled, Progress.start(n_lanes, before))
        for lane in range(n_lanes):
            self._lanes.last_offset[lane] = (topic_ends or {}).get(lane, NO_OFFSET + 1) - 1
        self._max_messages = int(config["queue.buffering.max.messages"])
        self._max_bytes = int(config["queue.buffering.max.kbytes"]) * 1024
        self._line_bytes = float(FIRST_GUESS_BYTES)
        self._is_adrift = self._closed = False

    @property
    def progress(self) -> Progress:
        """See `Sink`."""
        return self._lanes.progress()

    @property
    def stats(self) -> BrokerStats:
        """The broker's figures of the last second."""
        return self._outbox.monitor.stats

    @property
    def last_errors(self) -> list[str]:
        """The last few things that librdkafka complained of, oldest first, without secrets."""
        return list(self._outbox.monitor.last_errors)

    def room(self) -> int:
        """How many events `send` takes now; 0 while the producer's queue is full, or has to be filled anew first."""
        if self._is_adrift:
            return 0
        n_free = self._max_messages - self.tally.in_flight
        if self.tally.in_flight == 0:
            return min(n_free, MAX_SEND)
        n_bytes = self._lanes.in_flight_bytes + OVERHEAD_BYTES * self.tally.in_flight
        n_by_bytes = int((self._max_bytes - n_bytes) / (self._line_bytes + OVERHEAD_BYTES))
        return max(0, min(n_free, n_by_bytes, MAX_SEND))

    def send(self, lines: EncodedBatch) -> None:
        """Accept all events in order; those beyond `room` are dropped.

        Raises:
            SinkError: the producer can deliver nothing more; what it has not accepted failed.
        """
        if not self._outbox.error:
            n_now = self.room()
            if now := lines[:n_now]:
                self._line_bytes = self._outbox.hand_over(now, self.lane_of_row[now.row]) / len(now)
            self._skip(lines[n_now:], Outcome.DROPPED)
            return
        self._skip(lines, Outcome.FAILED)
        self._raise_if_broken()

    def drop(self, lines: EncodedBatch) -> None:
        """Count events as dropped that the schedule gave up; they keep their place in the order."""
        self._skip(lines, Outcome.DROPPED)

    def poll(self, timeout_s: float) -> None:
        """Take in delivery reports, waiting at most so long for the first; raises as `send` does."""
        self._serve(timeout_s)
        self._raise_if_broken()

    def flush(self, timeout_s: float) -> None:
        """Wait at most so long until nothing is in flight; raises as `send` does."""
        deadline_s = time.monotonic() + timeout_s
        self._serve(0.0)
        while self.tally.in_flight and not self._outbox.error and time.monotonic() < deadline_s:
            self._serve(max(0.0, min(POLL_S, deadline_s - time.monotonic())))
        self._raise_if_broken()

    def close(self) -> None:
        """Give up what is in flight, look into the topic for what may have arrived, free the producer.

        Takes a few seconds at most. Closing twice is allowed.
        """
        if self._closed:
            return
        self._serve(0.0)
        self._closed = True
        missing = Outcome.FAILED if self._outbox.error else Outcome.UNFINISHED  # giving up counts as an error, too
        if self.tally.in_flight:
            self._outbox.give_up()
            self._serve(0.0)
        self._outbox.disconnect()
        if self.tally.in_flight:
            self._resolve(dict.fromkeys(self._lanes.lanes_in_doubt()), missing)

    def marks(self) -> dict[str, int]:
        """There are no files."""
        return {}

    def round_trip_s(self) -> float:
        """The slowest broker round trip (p99) of the last second; nan before the first figures."""
        return self._outbox.monitor.stats.round_trip_p99_s

    def _serve(self, timeout_s: float) -> None:
        """Take in reports; where a group has lost its watermark, an empty producer tells that it has arrived."""
        self._outbox.take_reports(timeout_s)
        if self._lanes.torn:
            self._resolve({lane: tear.group for lane, tear in self._lanes.torn.items()}, Outcome.FAILED)
        self._lanes.count_arrived()
        if self._outbox.error or self._closed:
            return
        if self._outbox.monitor.is_stranded:
            self._begin_anew()
        if self._is_adrift:
            self._catch_up()
        elif (self._outbox.unwatched or self._lanes.unplaced) and not len(self._outbox):
            self._resolve(dict.fromkeys(self._lanes.unplaced), Outcome.FAILED)
            self._outbox.unwatched = False
            self._lanes.arrive_all()
            self._lanes.count_arrived()

    def _begin_anew(self) -> None:
        """Take another producer in place of one that never connects again."""
        self._outbox.give_up()
        self._outbox.disconnect()
        self._outbox, self._is_adrift = Outbox(self._settings, self._connect), True
        self._outbox.lanes = self._lanes

    def _skip(self, lines: EncodedBatch, outcome: Outcome) -> None:
        lane_of_event = self.lane_of_row[lines.row]
        order = np.argsort(lane_of_event, kind="stable")
        pages, slices = lines.page[order], lines.virtual_shard[order]
        for lane, start, stop in runs(lane_of_event[order]):
            self._lanes.skip(lane, pages[start:stop], slices[start:stop], outcome)

    def _catch_up(self) -> None:
        """Once the brokers are back: what the topic has of the former producer is delivered, the new one gets the rest.

        Nothing is done while a partition cannot be read.
        """
        if not self._outbox.monitor.stats.n_connected:
            return
        doubts = {lane: self._doubt(lane, None) for lane in self._lanes.lanes_in_doubt()}
        found = read_back(self._settings, doubts, READ_BACK_S) if doubts else {}
        if len(found) < len(doubts):
            return
        self._is_adrift = False
        for lane, is_there in found.items():
            self._send_again(lane, is_there)
        self._lanes.count_arrived()

    def _send_again(self, lane: int, is_there: Bools) -> None:
        """Hand over those of the lane's events in doubt that the topic lacks; a loop per event, but seldom."""
        self._lanes.mended(lane)
        for group in self._lanes.in_doubt(lane):
            positions = group.positions_in_doubt()
            arrived, is_there = is_there[: len(positions)], is_there[len(positions) :]
            for position in positions[arrived].tolist():
                self._lanes.report(group, position, Outcome.DELIVERED)
            if not group.ended:
                self._outbox.hand_over_again(group, positions[~arrived])

    def _resolve(self, until: dict[int, Group | None], missing: Outcome) -> None:
        """Settle what is in doubt by what is in the topic.

        Args:
            until: the lanes, and of each the last group that is meant; None is the lane's last.
            missing: what became of events that are not there: they failed when the producer was told no, or was told
                yes wrongly, and are unfinished when it ran out of time. Where the topic cannot be read, all are
                unfinished.
        """
        doubts = {lane: self._doubt(lane, last) for lane, last in until.items()}
        found = read_back(self._settings, doubts, READ_BACK_S) if doubts else {}
        for lane, doubt in doubts.items():
            outcomes = np.full(len(doubt.ts_ms), Outcome.UNFINISHED, np.uint8)
            if lane in found:
                outcomes = np.where(found[lane], Outcome.DELIVERED, missing).astype(np.uint8)
            self._lanes.resolve(lane, outcomes, until[lane])
            self._lanes.mended(lane)
        self._lanes.count_arrived()

    def _doubt(self, lane: int, until: Group | None) -> Doubt:
        tear, groups = self._lanes.torn.get(lane), self._lanes.in_doubt(lane, until)
        start_offset = tear.start_offset if tear else max(0, int(self._lanes.last_offset[lane]) + 1)
        positions = [group.positions_in_doubt() for group in groups]
        user_id = [group.batch.user_id[rows] for group, rows in zip(groups, positions, strict=True)]
        ts_ms = [group.batch.ts_ms[rows] for group, rows in zip(groups, positions, strict=True)]
        return Doubt(start_offset, np.concatenate(user_id), np.concatenate(ts_ms))

    def _raise_if_broken(self) -> None:
        if self._outbox.error:
            raise stopped(self._settings, self._outbox.error)
