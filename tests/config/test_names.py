"""Names of brokers, topics, stores and files as users write them."""

from pathlib import Path
from typing import Any

import pytest

from loadgen.config import names
from loadgen.config.values import BadValue


@pytest.mark.parametrize(
    ("text", "brokers"),
    [
        ("embedded", "embedded"),
        ("localhost:9092", "localhost:9092"),
        ("a:1, b:2,", "a:1,b:2"),
        (["a:1", "b"], "a:1,b"),
        ("[::1]:9092", "[::1]:9092"),
        ("SSL://kafka.example.org:9093", "SSL://kafka.example.org:9093"),
    ],
)
def test_brokers_are_a_list_of_host_and_port(text: Any, brokers: str) -> None:
    assert names.brokers(text) == brokers


@pytest.mark.parametrize("text", ["", ",", "a:0", "a:65536", "a b", "embedded,a:1", ":9092", "a:x", [], None, 5.5, [5]])
def test_what_is_no_broker_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match="must be embedded or HOST:PORT"):
        names.brokers(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a b", "x" * 250, "ü", 5])
def test_an_illegal_topic_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match=r"must be 1\.\.249"):
        names.topic(text)


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert names.path("~/events") == Path("/home/ada/events")


@pytest.mark.parametrize("text", ["", "a\0b", "~nobody-of-this-name/x", "\udc80", 5, None])
def test_what_can_be_no_path_is_refused(text: Any) -> None:
    with pytest.raises(BadValue):
        names.path(text)


def test_paths_are_a_list_or_one_a_line() -> None:
    assert names.paths("a b\nc") == names.paths(["a b", Path("c")]) == (Path("a b"), Path("c"))
    assert names.paths("") == ()


def test_an_embedded_broker_is_nothing_that_another_process_can_name() -> None:
    assert names.servers("a:1, b:2") == "a:1,b:2"
    with pytest.raises(BadValue, match=r"must be HOST:PORT,…; that broker belongs to the loadgen run that started it"):
        names.servers(["embedded"])
    with pytest.raises(BadValue, match="must be HOST:PORT,…; write for example localhost:9092"):
        names.servers("a b")


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("music_events", "music_events"),
        ("~/events", "/home/ada/events"),
        ("file:///srv/events", "file:///srv/events"),
        ("hdfs://namenode:8020/music_events", "hdfs://namenode:8020/music_events"),
        ("HDFS://namenode/x", "HDFS://namenode/x"),
    ],
)
def test_a_store_is_a_folder_or_a_url(text: str, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert names.store(text) == store


@pytest.mark.parametrize("text", ["s3://bucket/x", "hdfs://", "hdfs:///", "://x", "hdfs://a\nb", "hdfs://\udc80/x"])
def test_another_kind_of_store_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"must be a folder, file:///PATH or hdfs://HOST:PORT/PATH"):
        names.store(text)


@pytest.mark.parametrize("text", ["", " x", "x" * 250, "a\nb", 5, None])
def test_what_can_be_no_group_is_refused(text: Any) -> None:
    with pytest.raises(BadValue, match=r"must be 1\.\.249 printable characters"):
        names.group(text)


@pytest.mark.parametrize(
    ("listening", "found"),
    [
        ("127.0.0.1", "http://127.0.0.1:5001"),
        ("0.0.0.0", "http://127.0.0.1:5001"),
        ("::", "http://[::1]:5001"),
        ("fe80::1", "http://[fe80::1]:5001"),
        ("dash.example", "http://dash.example:5001"),
    ],
)
def test_what_listens_is_found_by_a_browser_here(listening: str, found: str) -> None:
    assert names.url(listening, 5001) == found
