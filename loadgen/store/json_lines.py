"""JSON lines: whether a file holds them, from its first bytes, and JSON values of messages as lines.

In: a file of events that loadgen did not write. Out: None if its beginning may be JSON lines, also bad ones; else what
it is instead and how to convert it.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable
from contextlib import suppress

import orjson
import pyarrow as pa

from loadgen.errors import StoreError
from loadgen.files import compression_of, decompressed
from loadgen.store import Store
from loadgen.store.layout import OF_ROWS, BatchName, day_of

HEAD_BYTES = 1 << 16
_ARRAY = re.compile(rb"\s*\[\s*(\{|\]\s*\Z|\Z)")
_PRINTED = re.compile(rb"\s*\{[ \t]*\r?\n\s*[\"}]")
_TIME = re.compile(rb'"(ts|timestamp)"\s*:')
_DECODER = json.JSONDecoder()


def is_named_by_loadgen(path: str) -> bool:
    """Whether a file has a name of `loadgen consume` or `loadgen run`: there is no need to look into it."""
    name = path.rpartition("/")[2]
    return (name.startswith("events_") and day_of(path) is not None) or BatchName.parse(name) is not None


def why_not_lines(store: Store, path: str) -> str | None:
    """What is wrong with a whole file, or None where it may hold JSON lines.

    Args:
        path: its name says how it is compressed; Parquet and Avro are not looked at.
    """
    return None if path.endswith(OF_ROWS) else what_else(_head(store, path), f"{store.url}/{path}")


def is_document(store: Store, path: str) -> bool:
    """Whether this is some other document, such as a run's manifest: printed JSON in which nothing has a time.

    Such files are skipped unless they were named.
    """
    if not path.endswith(".json"):
        return False
    head = _head(store, path)
    return _PRINTED.match(head) is not None and _TIME.search(head) is None


def what_else(head: bytes, shown: str) -> str | None:
    """What a file that begins so is instead of JSON lines, and what to do; None where it may be JSON lines.

    Args:
        head: its first bytes, decompressed.
    """
    found = next((what for is_it, what in _KINDS if is_it(head)), None)
    return None if found is None else f"{shown} is not JSON lines (one object a line): {found.format(file=shown)}"


def _head(store: Store, path: str) -> bytes:
    how = compression_of(path)
    # the reader of the whole file reports that it cannot be opened or is damaged
    with suppress(StoreError, OSError, pa.ArrowException), store.open(path) as opened:
        head: bytes = (decompressed(opened, how) if how else opened).read(HEAD_BYTES)
        return head
    return b""


def _is_in_one_line(head: bytes) -> bool:
    """Whether all objects stand in one line; where a single newline is missing, that is one bad line."""
    line, _, more = head.strip().partition(b"\n")
    return not more and _after_object(line).startswith("{")


def _has_commas(head: bytes) -> bool:
    lines = head.strip().split(b"\n")[:3]
    return len(lines) == 3 and all(_after_object(line) == "," for line in lines[:2])


def _after_object(line: bytes) -> str:
    """What follows the object with which a line begins; nothing where it begins with none."""
    text = line.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return ""
    try:
        return text[_DECODER.raw_decode(text)[1] :].strip()
    except (ValueError, RecursionError):
        return ""


_KINDS: tuple[tuple[Callable[[bytes], object], str], ...] = (
    (_ARRAY.match, "it is a JSON array; convert it with: jq -c '.[]' '{file}' > events.jsonl"),
    (_PRINTED.match, "its JSON is printed over several lines; convert it with: jq -c . '{file}' > events.jsonl"),
    (_is_in_one_line, "all objects stand in one line; convert it with: jq -c . '{file}' > events.jsonl"),
    (_has_commas, "its lines end in commas; convert it with: sed 's/,$//' '{file}' > events.jsonl"),
    (
        lambda head: head[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in head,
        "it is UTF-16; convert it with: iconv -f UTF-16 -t UTF-8 '{file}' > events.jsonl",
    ),
    (
        lambda head: head.startswith(BOM_UTF8),
        "a byte order mark stands in front; take it away with: sed '1s/^\\xEF\\xBB\\xBF//' '{file}' > events.jsonl",
    ),
    (lambda head: head.startswith(b"\x1f\x8b"), "it is compressed with gzip; give it a name that ends in .jsonl.gz"),
    (
        lambda head: head.startswith(b"\x28\xb5\x2f\xfd"),
        "it is compressed with zstd; give it a name that ends in .jsonl.zst",
    ),
    (lambda head: head.startswith(b"PAR1"), "it is Parquet; give it a name that ends in .parquet"),
    (lambda head: head.startswith(b"Obj\x01"), "it is Avro; give it a name that ends in .avro"),
)
"""How to tell what a file is, and what to say."""


def folded(value: bytes) -> bytes:
    """JSON on one line; a string in JSON has no line feed, so what is replaced is white space between fields."""
    return value.strip().replace(b"\n", b" ") if b"\n" in value else value


def folded_if_json(value: bytes) -> bytes | None:
    """A value on one line; None where it has line feeds and is not JSON."""
    if b"\n" not in value:
        return value
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return folded(value)
