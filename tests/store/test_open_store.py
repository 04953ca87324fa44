"""A URL names a store, or is refused with the next step."""

import os
from pathlib import Path

import pytest

from loadgen.errors import UsageError
from loadgen.store import open_store
from loadgen.store.hdfs import HdfsStore
from loadgen.store.local import LocalStore


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("/srv/music_events", "/srv/music_events"),
        ("/srv/music_events/", "/srv/music_events"),
        ("music_events", f"{os.getcwd()}/music_events"),
        ("./a:b/c", f"{os.getcwd()}/a:b/c"),
        ("~/x", str(Path.home() / "x")),
        ("file:///srv/music_events", "/srv/music_events"),
        ("file:/srv/music_events", "/srv/music_events"),
        ("FILE://localhost/srv/my%20music", "/srv/my music"),
    ],
)
def test_paths_and_file_urls_are_local_folders(url: str, root: str) -> None:
    store = open_store(url)
    assert isinstance(store, LocalStore)
    assert store.url == root


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("hdfs://namenode:8020/music_events", "hdfs://namenode:8020/music_events"),
        ("HDFS://NameNode:8020/Music/events/", "hdfs://namenode:8020/Music/events"),
        ("hdfs://cluster/music_events", "hdfs://cluster/music_events"),
        ("hdfs://[::1]:8020/a", "hdfs://[::1]:8020/a"),
    ],
)
def test_hdfs_urls_are_stores_that_ask_nothing_yet(url: str, shown: str) -> None:
    store = open_store(url)
    assert isinstance(store, HdfsStore)
    assert store.url == shown


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must be a URL or a path, got ''; name hdfs://"),
        ("a\0b", "must be a URL or a path"),
        ("s3://bucket/x", "must be HDFS or a local folder, got 's3://bucket/x'; name hdfs://namenode:8020"),
        ("http://host/x", "must be HDFS or a local folder"),
        ("file://host/x", "a file: URL names a path of this machine, got 'file://host/x'; write file:///srv"),
        ("file:x", "a file: URL names a path of this machine"),
        ("file:////srv", "a file: URL names a path of this machine"),
        ("hdfs://namenode:8020", "needs a host and a folder, got 'hdfs://namenode:8020'; write hdfs://namenode"),
        ("hdfs://namenode:8020/", "needs a host and a folder"),
        ("hdfs:///music_events", "needs a host and a folder"),
        ("hdfs:/music_events", "needs a host and a folder"),
        ("hdfs://namenode:0/x", "needs a host and a folder"),
        ("hdfs://namenode:99999/x", "needs a host and a folder"),
        ("hdfs://namenode:8020/a/../b", "needs a host and a folder"),
        ("hdfs://namenode:8020/a//b", "needs a host and a folder"),
        ("hdfs://namenode:8020/a?b", "needs a host and a folder"),
    ],
)
def test_other_urls_are_refused_with_the_right_form(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert words in str(caught.value)


@pytest.mark.parametrize("url", ["hdfs://me@namenode:8020/x", "hdfs://me:secret@namenode:8020/x"])
def test_a_user_in_a_url_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(UsageError, match="set HADOOP_USER_NAME") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
