"""What a run was, on one page that opens anywhere; and two runs side by side.

In: the manifest of a run, or of two. Out: one HTML file with everything in it (`loadgen run --report`), a table or an
object of both runs (`loadgen compare`). `figures` and `verdict` say what is in them, `charts`,
`parts` and `page` show it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.record import RunRecord

PAGE_MARK = b'<meta name="generator" content="loadgen'
"""What a page has in its first bytes."""


def check_report(path: Path) -> None:
    """Find out before the run whether the page can be written there. Raises OutputUnwritable: it cannot."""
    from loadgen.files import check_writable, unwritable

    check_writable(path.parent)
    if path.is_dir():
        raise unwritable(path, IsADirectoryError(21, "Is a directory"))


def may_replace(path: Path, note: Callable[[str], None], *marks: bytes) -> None:
    """Say that --report replaces a file that loadgen wrote: a page, or what begins with one of these marks.

    Raises:
        OutputUnwritable: another file is there.
    """
    from loadgen.files import has_mark, replaces_own

    if replaces_own(path, "--report", lambda path: has_mark(path, PAGE_MARK, *marks)):
        note(f"--report {path}: replaces the file that was there")


def write_page(path: Path, runs: "Sequence[RunRecord]") -> None:
    """Write the page of one run, or of two that are compared, whole or not at all.

    Raises:
        OutputUnwritable: it cannot be written.
    """
    from loadgen.files import unwritable, write_whole
    from loadgen.report.page import page_of

    try:
        write_whole(path, page_of(runs).encode())
    except OSError as error:
        raise unwritable(path, error) from error
