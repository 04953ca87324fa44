"""The commit log of one Kafka partition: why every record is stored exactly once.

In: files that a partition writer has written, offsets. Out: those files under their final names, all or none of a
publication.

A writer publishes in these steps, and begins the next publication only after the last of them:

    A  write and close the temporary files      _tmp/<topic>-<tag>/p=003/<offset>_<what>_<writer>
    B  write the record, as a temporary file    its `first` is the `next` of the record before (0 in the first one)
    C  rename it: the commit point              _commits/<topic>-<tag>/p=003/<first>.json; fails where it is there
    D  see that the record before is there still
    E  rename each file to its final name       year=…/month=…/day=…/batch_…, from the record alone
    F  commit the offset to Kafka               advisory, for people and tools: no writer reads it

A writer that gets a partition recovers: R1 read the last record, R2 do E for it, R3 remove temporary files that begin
below its `next`; then it reads Kafka from `next` on. After any error a writer drops what it holds, and recovers. R3 is
repeated from time to time after E; old records go with it.

**The commit log.** A record begins where the one before ends, whatever gaps Kafka's offsets have, so two writers that
go on from the same record want the same name, and the store gives it to one of them (C). Therefore the records form one
log, whose ranges neither overlap nor leave a gap, and what is stored is what the log's records name. It remains to show
that each record's files reach their final names once (E), and that no other files do.

**Killed**
- before C: nothing is published. The successor reads the same `next`, and stores these offsets in files of its own;
  what is left behind are temporary files, which R3 removes once the log is beyond them.
- between C and E, or in E: the record says what is missing. The next writer does the rest in R2, before it can add a
  record: so only the last record can be unfinished, and R2 need not look further back.
- after E: nothing is left to do.

**Repeated.** E may be done again, by any writer, at any time: where the temporary file is gone, the final one must be
there with its length, or a compactor has merged it into one that covers it (`loadgen.consume.compact`). Anything else
is an error that names the file; nothing is ever replaced. Final names are free, since they say source, partition and
offsets.

**No reply, or an error** in C: look at the name. My record there: it worked. Another's: I am fenced. None: unknown
whether the rename is still on its way, so the writer recovers, and its next attempt uses other temporary files. Should
the first record come through after all, the second finds the name taken, and the first one's files are untouched: R3
removes only what begins *below* `next`. In E: look at both names. Everywhere else: give up, and recover.

**Two writers** (a zombie that was stopped or cut off, and its successor)
- The zombie is in A or B: the successor's record has the name, and C fails. It is fenced: it drops and recovers. Where
  the successor has published nothing yet, the zombie's C is good, and it is the successor that is fenced.
- The zombie is between C and E: the successor has finished its record in R2; E finds everything done.
- The zombie is in R1 or R2: it finishes a record that is finished. In R3: what it removes is below a `next` that was
  reached, so it is part of nothing, or published.
- The zombie slept until the name it wants was pruned, so C succeeds: records are pruned oldest first, so the
  one before is gone as well. D sees that, and the zombie is fenced before E. Its record stays, below the last one,
  where no writer reads it. In a log without a record before, D looks whether there is any other record.

**Store full, or away**: A or B fails, nothing is published, the writer recovers until it can; in C and E as above.

**The topic is deleted and created again** under a running consumer: before C the brokers are asked whether the topic
still has the id that is part of the source, later than the last message was read. If not, nothing is published and the
consumer ends. Without an answer nothing is published either, and the writer recovers.

**Dead letters** are files of the record like others, so all of this holds for them. **Another source** (a topic that
was created again, another cluster) has another tag, so a log, temporary files and final names of its own.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Self

from loadgen.errors import AlreadyThere, NotThere, StoreError
from loadgen.store import Store, StoredFile
from loadgen.store.layout import COMMITS, TMP, BatchName


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic of a cluster. One that was deleted and created again is another source: its offsets begin again.

    Attributes:
        cluster_id: as the brokers report it.
        topic: the name.
        topic_id: the brokers' UUID of the topic; empty where they have none.
    """

    cluster_id: str
    topic: str
    topic_id: str

    @property
    def tag(self) -> str:
        """8 hexadecimal digits that stand for all three."""
        named = "\n".join((self.cluster_id, self.topic, self.topic_id))
        return blake2b(named.encode(), digest_size=4).hexdigest()

    @property
    def folder(self) -> str:
        """Where the commit records are: a folder per partition below this one."""
        return f"{COMMITS}/{self.topic}-{self.tag}"

    def records(self, partition: int) -> str:
        """The folder of a partition's commit records."""
        return f"{self.folder}/p={partition:03}"

    def temporaries(self, partition: int) -> str:
        """The folder of the files that are being written for a partition."""
        return f"{TMP}/{self.topic}-{self.tag}/p={partition:03}"


VERSION = 1
CLEAR_UP_EVERY = 256
"""Publications after which a writer that was never disturbed clears up."""
KEEP_S = 7 * 86_400.0
KEEP_LAST = 100
KEEP_MOST = 10_000
"""Records that stay: the last 100 always, those younger than a week, but no more than 10,000."""


class Fenced(StoreError):
    """Another writer has stored this partition from here on: what this one holds is to be dropped."""


@dataclass(frozen=True, slots=True)
class Rename:
    """A file of a commit record.

    Attributes:
        temporary: its path while it was written.
        final: its path for good.
        bytes: its length.
        events: the lines in it.
    """

    temporary: str
    final: str
    bytes: int
    events: int


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """A commit record: what one publication stores. Two are equal only if they are the same one.

    Attributes:
        writer: who wrote it, with a part of its own for each attempt.
        source: the tag of the topic.
        partition: Kafka's.
        first: the offset at which the record before ends; 0 in the first record of a log.
        next: one past the last offset that is stored with it.
        at: when, ISO 8601.
        files: what it publishes.
        n_dead: dead letters among what it publishes.
        replaces: what it makes superfluous: the files that a compactor has merged.
    """

    writer: str
    source: str
    partition: int
    first: int
    next: int
    at: str
    files: tuple[Rename, ...]
    n_dead: int
    replaces: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """As it is stored."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, path: str, data: bytes) -> Self:
        """As it was stored.

        Raises:
            StoreError: it is none, or one of a later version.
        """
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("version") != VERSION:
                raise ValueError("another version")
            files = tuple(Rename(**rename) for rename in fields.pop("files"))
            replaces = tuple(fields.pop("replaces"))
            return cls(files=files, replaces=replaces, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"{path} must be a commit record of version {VERSION}, but is not ({error}); "
                "consume with the version of the program that wrote it"
            ) from error


def name_of(first: int) -> str:
    """The file name of the record that begins at this offset."""
    return f"{first:020}.json"


class CommitLog:
    """The commit records of one Kafka partition, and the temporary files that belong to them.

    Attributes:
        last: the last record that this writer knows of; None before the first.
    """

    def __init__(self, store: Store, records: str, temporaries: str) -> None:
        """Name the folders of the records and of the temporary files."""
        self._store, self._records, self._temporaries = store, records, temporaries
        self.last: CommitRecord | None = None

    @property
    def next(self) -> int:
        """Where the next record begins."""
        return 0 if self.last is None else self.last.next

    def recover(self) -> None:
        """Find the last record, finish what it publishes, and clear up what can no longer become part of the log.

        Raises:
            StoreError: the store does not answer, or a file of the last record is gone.
        """
        found = self._listed()
        self.last = self._read(found[-1].path) if found else None
        if self.last is not None:
            self.roll_forward(self.last)
            self.clear_up()

    def commit(self, record: CommitRecord, temporary: str) -> None:
        """The commit point: make this the record that follows `last`.

        Args:
            record: begins at `next`.
            temporary: a path for it until then, that no other writer uses.

        Raises:
            Fenced: another writer's record is there; nothing of this one is published.
            StoreError: the store does not say whether it is done; `recover` will.
        """
        path = f"{self._records}/{name_of(record.first)}"
        self._store.write(temporary, record.to_json())
        try:
            self._store.rename(temporary, path)
        except StoreError as error:
            self._settle(path, record, error)
        self._check_unpruned(record)
        self.last = record

    def roll_forward(self, record: CommitRecord) -> None:
        """Give each file of the record its final name; those that have it already are fine.

        Raises:
            StoreError: the store does not answer, or a file is gone, or another one has its name.
        """
        for rename in record.files:
            try:
                self._store.rename(rename.temporary, rename.final)
            except StoreError as error:
                if not self.is_published(rename):
                    raise _unpublished(rename, record, error) from error

    def clear_up(self) -> None:
        """Remove what is of no more use, once the last record is rolled forward; tries, and never raises StoreError."""
        with suppress(StoreError):
            self._sweep(self.next)
            self._prune()

    def _prune(self) -> None:
        """Remove old records, oldest first.

        The order matters: as long as the record before a given one is there, so is that one (see `_check_unpruned`)."""
        found = self._listed()
        for n_older, old in enumerate(found[:-KEEP_LAST]):
            too_many = len(found) - n_older > KEEP_MOST
            if not too_many and old.modified_s > found[-1].modified_s - KEEP_S:
                return
            self._store.remove(old.path)

    def _settle(self, path: str, record: CommitRecord, error: StoreError) -> None:
        """After a rename that failed: return if it was done all the same."""
        there = self._read_if_there(path)
        if there is None:
            raise error
        if there != record:
            raise Fenced(
                f"partition {record.partition} is stored from offset {record.first} on by {there.writer}, "
                f"not by this writer ({record.writer}); go on from offset {there.next}"
            ) from error

    def _check_unpruned(self, record: CommitRecord) -> None:
        """Raise Fenced if the name was free only because its record had been pruned."""
        if self.last is None:
            only = all(file.path.endswith(name_of(record.first)) for file in self._listed())
        else:
            only = self._read_if_there(f"{self._records}/{name_of(self.last.first)}") == self.last
        if not only:
            raise Fenced(
                f"partition {record.partition} has been stored far beyond offset {record.first} by other writers "
                f"while this one ({record.writer}) stood still; recover and go on from there"
            )

    def is_published(self, rename: Rename) -> bool:
        """Whether a file is there for readers: under its name, or within a compacted one that covers it."""
        length = self._store.length(rename.final)
        if length is not None:
            return length == rename.bytes
        if self._store.length(rename.temporary) is not None:
            return False
        folder, _, name = rename.final.rpartition("/")
        batch = BatchName.parse(name)
        return batch is not None and any(other.covers(batch) for other in _batches(self._store.files(folder)))

    def _sweep(self, below: int) -> None:
        """Remove temporary files that begin below an offset; a stalled writer's own at that offset may yet count."""
        for file in self._store.files(self._temporaries, hidden=True):
            if int(file.path.rpartition("/")[2][:20]) < below:
                self._store.remove(file.path)

    def _listed(self) -> list[StoredFile]:
        return [file for file in self._store.files(self._records) if file.path.endswith(".json")]

    def _read(self, path: str) -> CommitRecord:
        return CommitRecord.from_json(path, self._store.read(path))

    def _read_if_there(self, path: str) -> CommitRecord | None:
        try:
            return self._read(path)
        except NotThere:
            return None


def _batches(files: Iterable[StoredFile]) -> list[BatchName]:
    parsed = (BatchName.parse(file.path.rpartition("/")[2]) for file in files)
    return [batch for batch in parsed if batch is not None]


def _unpublished(rename: Rename, record: CommitRecord, error: StoreError) -> StoreError:
    if isinstance(error, AlreadyThere):
        return StoreError(
            f"{rename.final} must be the file of {rename.bytes} bytes that the commit record at offset {record.first} "
            "names, but another file is there; move that one away"
        )
    if isinstance(error, NotThere):
        return StoreError(
            f"{rename.final} of the commit record at offset {record.first} is gone, and so is {rename.temporary}: "
            f"somebody removed it; bring it back, or remove the records in that folder to store the topic again"
        )
    return error
