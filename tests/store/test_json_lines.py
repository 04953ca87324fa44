"""A file that is something else than JSON lines is told by its first bytes, and bad lines are left to their readers."""

import gzip
import json
from pathlib import Path

import pytest

from loadgen.files import compressed
from loadgen.store.json_lines import is_document, what_else, why_not_lines
from loadgen.store.local import LocalStore
from tests.analyze.reading import LINES

EVENTS = [json.loads(line) for line in LINES["full"][:3]]
IN_LINES = b"\n".join(LINES["full"][:3])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (json.dumps(EVENTS).encode(), "it is a JSON array; convert it with: jq -c '.[]' 'x.json' > events.jsonl"),
        (json.dumps(EVENTS, indent=2).encode(), "a JSON array"),
        (b"[\n" + b",\n".join(LINES["full"][:3]) + b"\n]", "a JSON array"),
        (b"[]", "a JSON array"),
        (json.dumps(EVENTS[0], indent=4).encode(), "printed over several lines; convert it with: jq -c . 'x.json'"),
        (b"{\r\n" + json.dumps(EVENTS[0], indent=1).encode()[2:], "printed over several lines"),
        (b"".join(LINES["full"][:3]), "all objects stand in one line"),
        (b",\n".join(LINES["full"][:3]), "its lines end in commas"),
        (IN_LINES.decode().encode("utf-16"), "it is UTF-16; convert it with: iconv"),
        (gzip.compress(IN_LINES), "a name that ends in .jsonl.gz"),
        (bytes(compressed(IN_LINES, "zst")), "a name that ends in .jsonl.zst"),
        (b"PAR1\x15\x04", "a name that ends in .parquet"),
        (b"Obj\x01\x04", "a name that ends in .avro"),
    ],
)
def test_what_a_file_is_instead_is_said_with_the_way_to_convert_it(head: bytes, expected: str) -> None:
    said = what_else(head, "x.json")
    assert said is not None
    assert said.startswith("x.json is not JSON lines (one object a line): ")
    assert expected in said


@pytest.mark.parametrize(
    "head",
    [
        IN_LINES,
        b"\n\n  " + IN_LINES,
        b"",
        b"\n",
        b"{}\n",
        b"[1]\n" + IN_LINES,
        b"null\n" + IN_LINES,
        b'{"ts":17679\n' + IN_LINES,
        b"{'ts':1}\n" + IN_LINES,
        b"\xff\xfe\n" + IN_LINES,
        b"ts,userId\n1,2\n",
        b"{" * 100_000,
        LINES["full"][0] + IN_LINES,
        LINES["full"][0] + b",\n" + IN_LINES,
        IN_LINES[:50],
    ],
)
def test_lines_and_bad_lines_are_left_to_their_reader(head: bytes) -> None:
    assert what_else(head, "x.jsonl") is None


@pytest.mark.parametrize("ending", [".jsonl", ".json.gz", ".json.zst"])
def test_a_compressed_array_is_seen_too(tmp_path: Path, ending: str) -> None:
    array = json.dumps(EVENTS * 1000).encode()
    packed = {".jsonl": array, ".json.gz": gzip.compress(array), ".json.zst": bytes(compressed(array, "zst"))}[ending]
    (tmp_path / f"x{ending}").write_bytes(packed)
    assert "a JSON array" in (why_not_lines(LocalStore(tmp_path), f"x{ending}") or "")
    (tmp_path / f"x{ending}").write_bytes(b"\x1f\x8b\x08" if ending.endswith("gz") else b"")
    assert why_not_lines(LocalStore(tmp_path), f"x{ending}") is None


def test_a_manifest_is_a_document_and_printed_events_are_none(tmp_path: Path) -> None:
    contents = {"run.json": {"manifest_version": 2, "start_ms": 5}, "one.json": EVENTS[0], "many.json": EVENTS}
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content, indent=2))
    assert [name for name in contents if is_document(LocalStore(tmp_path), name)] == ["run.json"]


def test_a_byte_order_mark_is_named_because_the_first_event_would_be_lost_by_it() -> None:
    said = what_else(b"\xef\xbb\xbf" + IN_LINES, "x.jsonl")
    assert said is not None
    assert said.endswith(r"take it away with: sed '1s/^\xEF\xBB\xBF//' 'x.jsonl' > events.jsonl")
