"""A local folder keeps a store's promises, also through crashes, power failures and full disks."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from loadgen.errors import AlreadyThere, LoadgenError, NotThere, StoreError, StoreFull, StoreRefused
from loadgen.store.local import LocalStore
from tests.store.contract import StoreContract


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "root" / "store")


class TestLocalStore(StoreContract):
    """All that every store promises."""


def test_opening_a_store_makes_nothing(store: LocalStore, tmp_path: Path) -> None:
    assert store.url == str(tmp_path / "root" / "store")
    assert list(store.files()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_stays_where_it_was_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore("here")
    monkeypatch.chdir("/")
    store.write("a", b"x")
    assert (tmp_path / "here" / "a").read_bytes() == b"x"


def half_rename(store: LocalStore, source: str, target: str) -> None:
    """What a process leaves that is killed in the middle of a rename."""
    os.makedirs(os.path.dirname(f"{store.url}/{target}"), exist_ok=True)
    os.link(f"{store.url}/{source}", f"{store.url}/{target}")


def test_a_rename_that_was_killed_half_way_is_brought_to_its_end_by_the_next(store: LocalStore) -> None:
    store.write("_tmp/a", b"x")
    half_rename(store, "_tmp/a", "day/a")
    assert store.read("day/a") == b"x", "it is published"
    store.rename("_tmp/a", "day/a")
    assert store.length("_tmp/a") is None
    assert store.read("day/a") == b"x"


def test_a_copy_with_the_same_content_is_another_file(store: LocalStore) -> None:
    store.write("_tmp/a", b"x")
    store.write("day/a", b"x")
    with pytest.raises(AlreadyThere):
        store.rename("_tmp/a", "day/a")
    assert store.length("_tmp/a") == 1


def test_writing_to_a_name_left_by_a_killed_rename_spares_the_published_file(store: LocalStore) -> None:
    store.write("_tmp/a", b"published")
    half_rename(store, "_tmp/a", "day/a")
    writer = store.create("_tmp/a")
    writer.write(b"?")
    writer.abandon()
    assert store.read("day/a") == b"published"


def test_abandoning_spares_the_file_that_took_its_name(store: LocalStore) -> None:
    zombie = store.create("_tmp/a")
    store.write("_tmp/a", b"the successor's")
    zombie.abandon()
    assert store.read("_tmp/a") == b"the successor's"


def test_folders_that_somebody_removed_are_made_again(store: LocalStore) -> None:
    store.write("_tmp/a", b"x")
    shutil.rmtree(store.url)
    store.write("_tmp/a", b"y")
    shutil.rmtree(store.url + "/_tmp")
    store.write("b", b"z")
    store.rename("b", "_tmp/b")
    assert [file.path for file in store.files(hidden=True)] == ["_tmp/b"]


def test_a_file_that_was_removed_while_it_was_written_cannot_be_closed(store: LocalStore) -> None:
    writer = store.create("_tmp/a")
    writer.write(b"x")
    shutil.rmtree(store.url)
    with pytest.raises(NotThere, match="somebody removed it while it was written"):
        writer.close()


def test_a_folder_that_is_removed_while_a_file_moves_into_it_loses_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("_tmp/a", b"x")

    def link_then_remove(source: str, target: str) -> None:
        real_link(source, target)
        shutil.rmtree(os.path.dirname(target))

    real_link = os.link
    monkeypatch.setattr(os, "link", link_then_remove)
    with pytest.raises(NotThere):
        store.rename("_tmp/a", "day/a")
    monkeypatch.undo()
    assert store.read("_tmp/a") == b"x"


def test_nothing_hangs_where_somebody_keeps_removing_the_folder(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", b"x")
    real_mkdir = os.mkdir

    def make_and_remove(path: str) -> None:
        real_mkdir(path)
        os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", make_and_remove)
    with pytest.raises(StoreError, match="others keep removing its folder"):
        store.rename("a", "b/c")
    with pytest.raises(StoreError, match="others keep making or removing it"):
        store.create("b/c")


def fail(number: int) -> Callable[..., None]:
    """A system call that fails."""

    def call(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, StoreFull, "the disk is full: free some space"),
        (errno.EDQUOT, StoreFull, "quota is used up"),
        (errno.EFBIG, StoreFull, "larger than allowed"),
        (errno.EIO, StoreError, "the device reports an error"),
        (errno.EROFS, StoreRefused, "read-only"),
    ],
)
@pytest.mark.parametrize("system_call", ["write", "fsync"])
def test_a_write_that_fails_says_why_and_leaves_nothing(
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    system_call: str,
    number: int,
    kind: type[LoadgenError],
    words: str,
) -> None:
    monkeypatch.setattr(os, system_call, fail(number))
    with pytest.raises(kind, match=words) as caught:
        store.write("_tmp/a", b"x")
    assert type(caught.value) is kind
    assert f"cannot write '{store.url}/_tmp/a'" in str(caught.value)
    monkeypatch.undo()
    assert list(store.files(hidden=True)) == []


def test_a_file_that_lacks_a_piece_cannot_be_closed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = store.create("_tmp/a")
    writer.write(b"one\n")
    monkeypatch.setattr(os, "write", fail(errno.ENOSPC))
    with pytest.raises(StoreFull):
        writer.write(b"two\n")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="a write to it has failed"):
        writer.close()
    assert list(store.files(hidden=True)) == []


@pytest.mark.parametrize(
    ("system_call", "number", "kind", "words", "act"),
    [
        ("open", errno.EACCES, StoreRefused, "permission denied", lambda store: store.create("b")),
        ("mkdir", errno.EACCES, StoreRefused, "permission denied", lambda store: store.create("d/b")),
        ("mkdir", errno.ENOSPC, StoreFull, "the disk is full", lambda store: store.rename("a", "d/b")),
        ("link", errno.EPERM, StoreRefused, "knows no hard links", lambda store: store.rename("a", "b")),
        ("link", errno.EXDEV, StoreError, "different file systems", lambda store: store.rename("a", "b")),
        ("unlink", errno.EACCES, StoreRefused, "permission denied", lambda store: store.remove("a")),
        ("scandir", errno.EACCES, StoreRefused, "permission denied", lambda store: list(store.files())),
        ("stat", errno.EACCES, StoreRefused, "permission denied", lambda store: store.length("a")),
    ],
)
def test_each_refusal_is_said_in_words(
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    system_call: str,
    number: int,
    kind: type[LoadgenError],
    words: str,
    act: Callable[[LocalStore], object],
) -> None:
    store.write("a", b"x")
    monkeypatch.setattr(os, system_call, fail(number))
    with pytest.raises(kind, match=words) as caught:
        act(store)
    assert type(caught.value) is kind


def test_no_power_failure_leaves_a_published_file_empty_or_lost(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What must last is synced before what relies on it: content, then names, then the removal of the old name."""
    steps: list[str] = []
    real: dict[str, Callable[..., None]] = {name: getattr(os, name) for name in ("fsync", "link", "unlink", "mkdir")}

    def fsync(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        steps.append(f"sync {kind} {os.path.basename(os.readlink(f'/proc/self/fd/{fd}'))}")
        real["fsync"](fd)

    def watched(name: str) -> Callable[..., None]:
        def call(*arguments: str) -> None:
            steps.append(f"{name} {os.path.basename(arguments[-1])}")
            real[name](*arguments)

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("link", "unlink", "mkdir"):
        monkeypatch.setattr(os, name, watched(name))
    store.write("_tmp/a", b"x")
    assert steps[-2:] == ["sync file a", "sync folder _tmp"]
    made = ["mkdir root", f"sync folder {Path(store.url).parents[1].name}", "mkdir store", "sync folder root"]
    assert steps[:-2] == [*made, "mkdir _tmp", "sync folder store"]
    steps.clear()
    store.rename("_tmp/a", "day/b")
    assert steps == ["link b", "mkdir day", "sync folder store", "link b", "sync folder day", "unlink a"]


def test_links_to_files_are_read_and_links_to_folders_are_not_followed(store: LocalStore) -> None:
    store.write("day/a", b"x")
    os.symlink(f"{store.url}/day/a", f"{store.url}/day/b")
    os.symlink(store.url, f"{store.url}/day/loop")
    os.symlink("nowhere", f"{store.url}/day/dangling")
    os.mkfifo(f"{store.url}/day/pipe")
    assert [(file.path, file.length_bytes) for file in store.files()] == [("day/a", 1), ("day/b", 1)]
