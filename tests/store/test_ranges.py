"""A file made of ranges reads like any other."""

import io

from hypothesis import given
from hypothesis import strategies as st

from loadgen.store import read
from loadgen.store.read import open_ranges

DATA = bytes(number * 7 % 256 for number in range(1_000))

steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 1_200)),
        st.tuples(st.just("seek"), st.integers(0, 1_200)),
        st.tuples(st.just("end"), st.integers(-1_000, 50)),
    ),
    max_size=20,
)


@given(steps, st.sampled_from([7, 100, 4_096]))
def test_reading_and_seeking_are_those_of_a_file_in_memory(steps: list[tuple[str, int]], buffer_bytes: int) -> None:
    read.BUFFER_BYTES, usual = buffer_bytes, read.BUFFER_BYTES
    try:
        file, same = open_ranges(len(DATA), lambda start, n: DATA[start : start + n]), io.BytesIO(DATA)
    finally:
        read.BUFFER_BYTES = usual
    for step, number in steps:
        if step == "read":
            assert file.read(number) == same.read(number)
        else:
            whence = io.SEEK_SET if step == "seek" else io.SEEK_END
            assert file.seek(number, whence) == same.seek(number, whence)
        assert file.tell() == same.tell()


def test_only_ranges_inside_the_file_are_fetched_and_small_reads_share_one() -> None:
    fetched: list[tuple[int, int]] = []

    def fetch(start: int, n_bytes: int) -> bytes:
        fetched.append((start, n_bytes))
        return bytes(n_bytes)

    with open_ranges(3 << 20, fetch) as file:
        for _ in range(100):
            file.read(100)
        assert fetched == [(0, 1 << 20)]
        file.seek(-10, io.SEEK_END)
        assert len(file.read(100)) == 10
        assert fetched[1:] == [((3 << 20) - 10, 10)]
