"""Writes are whole."""

import os
import threading

from loadgen.disk import write_all


def test_a_pipe_that_does_not_block_still_gets_everything():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 65_536):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, b"x" * 3_000_000)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert len(received) == 3_000_000
