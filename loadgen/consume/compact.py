"""Merges the many small batch files of past days into few, while readers and writers go on.

In: a store. Out: for each day, source and partition as few files as their size allows, and counts of what was done.

A merged file has the range of offsets of those that it replaces, and readers leave out what lies inside another's range
(`loadgen.store.layout`); so the one rename that publishes it swaps all of them at once. What keeps that safe:

1. Only what is certain to be complete is merged. Before any folder is listed, the writers' commit logs say up to which
   offset every file has its final name. No file below that can appear later, so a merged range hides nothing else.
2. Compactors of a day, source and partition take turns by a commit log of their own (`loadgen.consume.commits`), whose
   records are numbered instead of named by offset. A compactor lists the files after the log's last record is rolled
   forward, and its own record is the next one. If another compactor was quicker, that name is taken, and the work is
   dropped. So two merged files never overlap in part.
3. Killed before its record: what it wrote is temporary, and is swept later. Killed after it: the next compactor rolls
   the record forward. Meanwhile readers see the old files, all of them.
4. The old files go only when every reader that may have listed them is done: a grace period after the moment at
   which a compactor saw the merged file in place and wrote that down. Nothing else is merged there until they are gone.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadgen.config import CompactSettings
from loadgen.consume.commits import CommitLog, CommitRecord, Fenced, Rename
from loadgen.consume.temporary_file import AvroEncoder, FileEncoder, LineEncoder, ParquetEncoder
from loadgen.container import CODECS, DAMAGE, Container, row_tables
from loadgen.errors import NotThere, StoreError
from loadgen.files import Compression
from loadgen.store import Store, StoredFile, open_store
from loadgen.store.layout import COMMITS, TMP, BatchName, day_folder, day_of, uncovered
from loadgen.store.read import damaged

CHUNK_BYTES = 1 << 20
ROW_GROUP_BYTES = 16 << 20
_CODECS: dict[str, Compression] = {"GZIP": "gz", "ZSTD": "zst", CODECS["gz"]: "gz", CODECS["zst"]: "zst"}
_ENCODERS: dict[str, type[ParquetEncoder] | type[AvroEncoder]] = {"parquet": ParquetEncoder, "avro": AvroEncoder}


@dataclass(frozen=True, slots=True)
class BatchFile:
    """A batch file of the store, and what its name says."""

    file: StoredFile
    batch: BatchName


def runs_of(files: Iterable[BatchFile], target_bytes: int) -> Iterator[list[BatchFile]]:
    """Neighbours, by offset, that may become one file: of the same kind, and not too large together.

    Whatever lies between two files ends a run, since the merged range would hide it: one of another kind, or one that
    is half as large as the target (it would be written again for each small one that comes after it)."""
    run: list[BatchFile] = []
    for file in files:
        is_large = file.file.length_bytes * 2 >= target_bytes
        if run and (is_large or run[-1].batch.suffix != file.batch.suffix or _length(run, file) > target_bytes):
            yield from [run] if len(run) > 1 else []
            run = []
        if not is_large:
            run.append(file)
    if len(run) > 1:
        yield run


def merged_name(run: list[BatchFile], stamp_s: int) -> str:
    """The name of the file that a run becomes: with the range of offsets of all of them."""
    first, last = run[0].batch, run[-1].batch
    return BatchName(stamp_s, first.partition, first.first, last.last, first.source, first.suffix).text


def write_merged(store: Store, run: list[BatchFile], path: str) -> int:
    """Write what the files of a run hold, one after another, to a file.

    Returns:
        Its length in bytes.

    Raises:
        NotThere: one of them is gone.
        StoreError: one of them is not whole, or the store does not answer.
    """
    made = _ENCODERS.get(run[0].batch.suffix)
    codec, schema = (None, None) if made is None else _codec_and_schema(store, run)
    writer = store.create(path)
    encoder = LineEncoder(writer, None) if made is None else made(writer, codec, schema=schema)
    try:
        _copy_all(store, run, encoder, schema)
        encoder.close()
    except BaseException:
        encoder.abandon()
        raise
    return encoder.n_bytes


def _length(run: list[BatchFile], file: BatchFile) -> int:
    return sum(other.file.length_bytes for other in run) + file.file.length_bytes


def _copy_all(store: Store, run: list[BatchFile], encoder: FileEncoder, schema: pa.Schema | None) -> None:
    if isinstance(encoder, ParquetEncoder | AvroEncoder):
        for table in _gathered((table for file in run for table in row_tables(store, file.file)), schema):
            encoder.write_table(table)
    else:
        for piece in _joined(piece for file in run for piece in _bytes_of(store, file.file)):
            encoder.write(piece)


def _bytes_of(store: Store, file: StoredFile) -> Iterator[bytes]:
    """The file as it is: lines, members and frames may follow one another."""
    n_bytes = 0
    with store.open(file.path) as opened:
        while piece := opened.read(CHUNK_BYTES):
            n_bytes += len(piece)
            yield piece
    if n_bytes != file.length_bytes:
        raise StoreError(
            f"{file.path} must be {file.length_bytes} bytes long, as listed, but {n_bytes} were read; "
            "look who changes the files of the store, and call again"
        )


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about CHUNK_BYTES: a thousand small files are a few writes."""
    gathered: list[bytes] = []
    n_bytes = 0
    for piece in pieces:
        gathered.append(piece)
        n_bytes += len(piece)
        if n_bytes >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, n_bytes = [], 0
    if gathered:
        yield b"".join(gathered)


def _gathered(tables: Iterable[Any], schema: pa.Schema) -> Iterator[Any]:
    """The same rows in tables of about ROW_GROUP_BYTES, with all columns of this schema."""
    gathered: list[Any] = []
    for table in tables:
        gathered.append(table)
        if sum(one.nbytes for one in gathered) >= ROW_GROUP_BYTES:
            yield pa.concat_tables([schema.empty_table(), *gathered], promote_options="default")
            gathered = []
    if gathered:
        yield pa.concat_tables([schema.empty_table(), *gathered], promote_options="default")


def _codec_and_schema(store: Store, run: list[BatchFile]) -> tuple[Compression | None, pa.Schema]:
    """How the columns or blocks of the first of these files are compressed, and the columns of all of them."""
    codecs, schemas = [], []
    for file in run:
        with store.open(file.file.path) as opened:
            try:
                if file.batch.suffix == "avro":
                    container = Container.of(opened)
                    codecs.append(container.codec)
                    schemas.append(container.schema)
                else:
                    parquet = pq.ParquetFile(opened)
                    codecs.append(parquet.metadata.row_group(0).column(0).compression)
                    schemas.append(parquet.schema_arrow)
                schema = pa.unify_schemas(schemas)
            except DAMAGE as error:
                raise damaged(store, file.file.path, error) from error
    return _CODECS.get(codecs[0]), schema


TARGET_BYTES = 1 << 30
FOLDER = "compaction"
NOT_COUNTED = 0
"""What a compactor's record says of the events in a merged file: it copies them unread."""
N_THREADS = 16
"""Closing a file on HDFS takes half a second, mostly of waiting."""

Key = tuple[int, str, int]
"""Day, source, partition."""


@dataclass(slots=True)
class Compacted:
    """What was done, in files unless said otherwise.

    Attributes:
        n_merged: were merged.
        n_made: came out of it.
        n_bytes: their length.
        n_removed: had been merged earlier, and were removed.
        n_waiting: were merged earlier, and may still be read by somebody: call again when the grace is over.
        n_unsettled: were left alone, since no commit record vouches for them yet.
        n_taken: days of a partition that another compactor was busy with.
    """

    n_merged: int = 0
    n_made: int = 0
    n_bytes: int = 0
    n_removed: int = 0
    n_waiting: int = 0
    n_unsettled: int = 0
    n_taken: int = 0

    def add(self, other: "Compacted") -> None:
        """Count the other's, too."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def main(settings: CompactSettings) -> int:
    """Merge what is asked for and say what was done; the exit code is 0.

    Raises:
        StoreError: the store does not answer, or a file is not what its record says; calling again goes on from there.
    """
    store = open_store(settings.store)
    try:
        done = compact(store, settings.until_day, settings.grace_s, time.time)
    finally:
        store.close()
    if not settings.quiet:
        print("\n".join(_sentences(done)), file=sys.stderr)
    if settings.json_summary:
        print(json.dumps({field.name.removeprefix("n_"): getattr(done, field.name) for field in fields(done)}))
    return 0


def _sentences(done: Compacted) -> Iterator[str]:
    """What a person wants to know of it, and what to do next."""
    yield f"{done.n_merged:,} files merged into {done.n_made:,} ({done.n_bytes:,} bytes); {done.n_removed:,} removed"
    if done.n_waiting:
        yield f"{done.n_waiting:,} merged files are kept for readers who have listed them; call again after --grace"
    if done.n_unsettled:
        yield f"{done.n_unsettled:,} files were left alone: a consumer is not done with them, or did not write them"
    if done.n_taken:
        yield f"{done.n_taken:,} days of a partition were left to another compactor that is at work"


def compact(
    store: Store,
    until_day: int,
    grace_s: float,
    clock: Callable[[], float],
    target_bytes: int = TARGET_BYTES,
    pool: Executor | None = None,
) -> Compacted:
    """Merge the files of all days up to one, and remove those that were merged by an earlier call.

    Args:
        store: where they are.
        until_day: the last day, days since 1970 (UTC), inclusive.
        grace_s: how long a reader may take from listing files to having read them.
        clock: seconds since 1970.
        target_bytes: how large a merged file may become; one that is half as large already is left alone.
        pool: where days and partitions are merged side by side; one of 16 threads by default.

    Raises:
        NotThere: no consumer has ever published there.
        StoreError: the store does not answer, or a file is not what its record says.
    """
    if pool is None:
        with ThreadPoolExecutor(N_THREADS) as own:
            return compact(store, until_day, grace_s, clock, target_bytes, own)
    settled = _settled(store)  # before any folder is listed: see 1. above
    keys = _keys(store, until_day)
    groups = [_Group(store, key, settled.get(key[1:], 0), grace_s, clock, target_bytes) for key in keys]
    done = Compacted()
    for one in pool.map(_Group.compact, groups):
        done.add(one)
    return done


def _settled(store: Store) -> dict[tuple[str, int], int]:
    """By source and partition: the offset below which every file has its final name."""
    last: dict[str, str] = {}
    for file in store.files(COMMITS):
        folder, _, name = file.path.rpartition("/")
        if name.endswith(".json") and not folder.startswith(f"{COMMITS}/{FOLDER}/"):
            last[folder] = file.path
    if not last:
        raise NotThere(
            f"{store.url} must be a store that loadgen consume writes, but has no commit records in {COMMITS}/; "
            "name what was given to consume as --store"
        )
    settled = {}
    for folder, path in last.items():
        record = CommitRecord.from_json(path, store.read(path))
        log = CommitLog(store, folder, TMP)
        is_rolled = all(map(log.is_published, record.files))
        settled[record.source, record.partition] = record.next if is_rolled else record.first
    return settled


def _keys(store: Store, until_day: int) -> list[Key]:
    """Where there is more than one file."""
    counts: Counter[Key] = Counter()
    for file in _batch_files(store, ""):
        day = day_of(file.file.path)
        if day is not None and day <= until_day:
            counts[day, *file.batch.origin] += 1
    return sorted(key for key, count in counts.items() if count > 1)


def _batch_files(store: Store, folder: str) -> Iterator[BatchFile]:
    """All of them, whether others cover them or not."""
    for file in store.files(folder):
        batch = BatchName.parse(file.path.rpartition("/")[2])
        if batch is not None:
            yield BatchFile(file, batch)


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of one day, source and partition, and how to treat them; `settled`: those below it are all there."""

    store: Store
    key: Key
    settled: int
    grace_s: float
    clock: Callable[[], float]
    target_bytes: int

    def compact(self) -> Compacted:
        """One turn: remove what an earlier turn has replaced, then merge what there is."""
        done = Compacted()
        try:
            log = self._log()
            log.recover()
            if self._is_cleared(log, done):
                self._merge(log, done)
        except (Fenced, NotThere):  # another one was quicker
            done.n_taken += 1
        return done

    @property
    def _name(self) -> str:
        day, source, partition = self.key
        return f"{FOLDER}/{source}/p={partition:03}/day={day}"

    def _log(self) -> CommitLog:
        return CommitLog(self.store, f"{COMMITS}/{self._name}", f"{TMP}/{self._name}")

    def _files(self) -> list[BatchFile]:
        found = _batch_files(self.store, day_folder(self.key[0]))
        return [file for file in found if file.batch.origin == self.key[1:]]

    def _is_cleared(self, log: CommitLog, done: Compacted) -> bool:
        """Whether nothing is left of what the last record has replaced; removes it when the grace is over."""
        there = {file.file.path for file in self._files()}
        old = [path for path in (log.last.replaces if log.last else ()) if path in there]
        if not old:
            return True
        mark = f"{COMMITS}/{self._name}/{log.next:020}.seen"
        if self.clock() < self._seen_s(mark) + self.grace_s:
            done.n_waiting += len(old)
            return False
        for path in old:
            self.store.remove(path)
        self.store.remove(mark)
        done.n_removed += len(old)
        return True

    def _seen_s(self, mark: str) -> float:
        """When somebody saw for the first time, as far as is known, that the merged files are in place."""
        try:
            return float(self.store.read(mark))
        except (NotThere, ValueError):  # not seen yet, or the compactor was killed while it wrote this
            now_s = self.clock()
            self.store.write(mark, repr(now_s).encode())
            return now_s

    def _merge(self, log: CommitLog, done: Compacted) -> None:
        files = sorted(uncovered(self._files()), key=lambda file: file.batch.first)
        ready = [file for file in files if file.batch.last < self.settled]
        done.n_unsettled += len(files) - len(ready)
        runs = list(runs_of(ready, self.target_bytes))
        if runs:
            record = self._record(log, runs)
            log.commit(record, self._temporary(record.first, f"record_{record.writer}"))
            log.roll_forward(record)
            self._is_cleared(log, done)  # begins the grace
            done.n_merged += len(record.replaces)
            done.n_made += len(record.files)
            done.n_bytes += sum(rename.bytes for rename in record.files)

    def _record(self, log: CommitLog, runs: list[list[BatchFile]]) -> CommitRecord:
        """Write the merged files under temporary names."""
        now_s, (_, source, partition) = self.clock(), self.key
        writer = f"compactor-{token_hex(4)}"
        renames = []
        for run in runs:
            name = merged_name(run, int(now_s))
            temporary = self._temporary(log.next, f"{name}_{writer}")
            n_bytes = write_merged(self.store, run, temporary)
            renames.append(Rename(temporary, f"{day_folder(self.key[0])}/{name}", n_bytes, NOT_COUNTED))
        at = datetime.fromtimestamp(now_s, UTC).isoformat()
        replaces = tuple(file.file.path for run in runs for file in run)
        return CommitRecord(writer, source, partition, log.next, log.next + 1, at, tuple(renames), 0, replaces)

    def _temporary(self, turn: int, what: str) -> str:
        return f"{TMP}/{self._name}/{turn:020}_{what}"
