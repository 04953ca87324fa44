"""Compressed pieces can follow each other, and are read as one."""

import io

import pytest

from loadgen.files import Compression, compressed, compression_of, decompressed


@pytest.mark.parametrize(
    ("path", "compression"),
    [("a.jsonl", None), ("a.gz", "gz"), ("a.jsonl.zst", "zst"), ("-", None), ("gz", None), ("d.gz/a", None)],
)
def test_the_name_says_how_a_file_is_compressed(path: str, compression: Compression | None) -> None:
    assert compression_of(path) == compression


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_pieces_that_follow_each_other_are_read_as_one_stream(how: Compression) -> None:
    pieces = [bytes([65 + number]) * 100_000 for number in range(5)]
    file = io.BytesIO(b"".join(bytes(compressed(piece, how)) for piece in pieces))
    assert decompressed(file, how).read() == b"".join(pieces)


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_a_stream_that_is_cut_off_is_an_error(how: Compression) -> None:
    whole = bytes(compressed(bytes(range(256)) * 1000, how))
    for cut in (b"", whole):
        with pytest.raises(OSError, match=r"(?i)truncated|unexpected end"):
            decompressed(io.BytesIO(cut + whole[:-10]), how).read()
