"""Recorded events of anyone, in the order of their times, as the batches that `loadgen replay` sends.

    files ─ lines, rows → Records ┐
    store ─ files of a day      ┤→ merged by time → due times → EncodedBatch → SendLoop → sinks
    topic ─ messages → Records ┘

`times` says what a value means as a time. `records` has the columns of recorded events, and makes them of lines, rows
and messages. `files` and `topic` open a source as parts, each in about the order of time. `merge` puts all parts
into one order, with a bounded number of events in memory. runner/recorded.py paces them, and sends them as a run does.
"""
