"""A dashboard's reader on a folder, with a clock of the test's, and what it has counted so far."""

from collections import Counter
from pathlib import Path

from loadgen.dashboard.feed import Reset
from loadgen.dashboard.rows import Normaliser
from loadgen.dashboard.stored import StoredEvents
from loadgen.formats import OWN, KnownFormats
from loadgen.store import Store
from loadgen.store.layout import BatchName, day_folder
from loadgen.store.local import LocalStore
from loadgen.store.table import table_of
from tests.dashboard.records import some
from tests.rows import ROWS, as_file

DAY = 20_458
NORMALISER = Normaliser()


class Reader:
    """Reads a store.

    Attributes:
        items: how often each record was counted, by its number.
        n_unreadable: records that are no events.
        n_anew: how often everything was counted anew.
        now_s: the clock.
    """

    def __init__(self, store: Store) -> None:
        self.now_s = 0.0
        self.items: Counter[int] = Counter()
        self.n_unreadable = self.n_anew = 0
        self.events = StoredEvents(store, lambda: self.now_s)

    def look(self, after_s: float = 3.0) -> "Reader":
        """Let time pass, and count what is new."""
        self.now_s += after_s
        for content in self.events.contents():
            if isinstance(content, Reset):
                self.items.clear()
                self.n_anew, self.n_unreadable = self.n_anew + 1, 0
                continue
            pieces = NORMALISER.of_lines(content) if isinstance(content, bytes) else NORMALISER.of_table(content)
            for piece in pieces:
                self.n_unreadable += piece.n_unreadable
                self.items.update(piece.rows["item"].to_pylist())
        return self

    @property
    def status(self) -> str:
        """How things are."""
        return self.events.state.status


def reader_of(root: Path) -> Reader:
    """A reader of a local store."""
    return Reader(LocalStore(root))


def batch_name(first: int, last: int, suffix: str = "jsonl", stamp_s: int = 1_767_571_200) -> str:
    """The path of a batch file."""
    name = BatchName(stamp_s, 0, first, last, "0123abcd", suffix)  # type: ignore[arg-type]
    return f"{day_folder(DAY)}/{name.text}"


def put(root: Path, path: str, data: bytes) -> None:
    """A file, whole at once."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name}")
    hidden.write_bytes(data)
    hidden.rename(target)


def append(root: Path, path: str, data: bytes) -> None:
    """Write on at a file's end."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with (root / path).open("ab") as file:
        file.write(data)


def put_batch(root: Path, first: int, last: int, suffix: str = "jsonl") -> str:
    """A batch file with the records of these numbers as its offsets; its path."""
    from loadgen.files import compressed

    path, data = batch_name(first, last, suffix), some(first, last)
    if suffix in ROWS:
        put(root, path, rows_of(data, suffix))
    else:
        put(root, path, bytes(compressed(data, suffix[-3:].strip("."))) if "." in suffix else data)  # type: ignore[arg-type]
    return path


def rows_of(lines: bytes, suffix: str, known: KnownFormats = OWN) -> bytes:
    """Lines as a file of rows."""
    return as_file(table_of(lines.splitlines(), known), suffix)


def expected(first: int, last: int) -> Counter[int]:
    """Each of these numbers once."""
    return Counter(range(first, last + 1))
