"""Pages to topics, and partitions counted through all topics and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.config import names
from loadgen.config.values import BadValue
from loadgen.errors import UsageError
from loadgen.event import PAGES
from loadgen.kafka.partition import partitions_of
from loadgen.kafka.topics import Topics, topics_of_pages

SIZES = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=2)


@given(SIZES, st.data())
def test_a_message_has_the_topic_of_its_page_and_there_the_partition_of_its_key(
    sizes: dict[str, int], data: st.DataObject
) -> None:
    of_pages = [*sizes, *data.draw(st.lists(st.sampled_from([*sizes]), max_size=9))]
    topics = Topics.mapped(of_pages, sizes)
    seed = np.random.default_rng(len(of_pages))
    page, key_hash = seed.integers(0, len(of_pages), 50).astype(np.uint8), seed.integers(0, 2**31, 50).astype(np.uint32)
    partition = topics.partitions(key_hash, page)
    names, numbers = topics.addresses(partition)
    assert names == [of_pages[one] for one in page.tolist()]
    for name in sizes:
        of_name = np.array(names) == name
        assert np.array(numbers)[of_name].tolist() == partitions_of(key_hash[of_name], sizes[name]).tolist()
        assert topics.pages(name).tolist() == [one == name for one in of_pages]
    found = {
        (name, number): one for name, of in topics.by_topic(partition.tolist()).items() for number, one in of.items()
    }
    assert [found[address] for address in zip(names, numbers, strict=True)] == partition.tolist()
    assert topics.n_all == sum(sizes.values()) > partition.max()


def test_a_hash_tells_the_topic() -> None:
    topics = Topics.mapped(["a", "b", "a"], {"a": 1, "b": 1})
    hashes = topics.hashes(np.full(3, 7, np.uint64), np.arange(3, dtype=np.uint8))
    assert hashes[0] == hashes[2] != hashes[1]
    assert Topics(("a",), (3,)).hashes(hashes, np.zeros(3, np.uint8)) is hashes


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("NextSong=plays,*=activity", {"NextSong": "plays", "*": "activity"}),
        (" Thumbs Up = likes , Thumbs Down=likes,*= rest", {"Thumbs Up": "likes", "Thumbs Down": "likes", "*": "rest"}),
        ("a=b=c", {"a=b": "c"}),
    ],
)
def test_a_topic_map_is_read(text: str, kept: dict[str, str]) -> None:
    assert names.page_topics(names.topic_map(text)) == kept
    assert names.topic_map(names.topic_map(text)) == names.topic_map(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must be PAGE=TOPIC"),
        ("plays", "must be PAGE=TOPIC"),
        ("=plays", "must be PAGE=TOPIC"),
        ("NextSong=plays,", "must be PAGE=TOPIC"),
        ("NextSong=plays,NextSong=b", "NextSong is there twice"),
        ("NextSong=,*=b", "must name topics of Kafka, and ''"),
        ("NextSong=a b", "must name topics of Kafka, and 'a b'"),
        ("NextSong=..", "must name topics of Kafka, and '..'"),
        (3, "must be PAGE=TOPIC"),
    ],
)
def test_a_topic_map_of_another_form_is_refused(text: object, rule: str) -> None:
    with pytest.raises(BadValue) as caught:
        names.topic_map(text)
    assert rule in caught.value.rule


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"NextSongs": "a", "*": "b"}, "got 'NextSongs'; did you mean NextSong?"),
        ({"Lyrics": "a", "*": "b"}, "got 'Lyrics'; write one of Home, NextSong"),
        ({"NextSong": "a"}, "got none for Home, Search, .*; name them, or add \\*=TOPIC"),
    ],
)
def test_pages_that_the_run_lacks_or_that_have_no_topic_are_named(wanted: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        topics_of_pages(wanted, PAGES.names)


def test_a_map_of_all_pages_needs_no_star() -> None:
    assert topics_of_pages({page: page[0] for page in PAGES.names}, PAGES.names) == [page[0] for page in PAGES.names]


def test_there_are_no_more_partitions_than_can_be_counted() -> None:
    with pytest.raises(UsageError, match="must have 65536 partitions together, got 65537"):
        Topics.mapped(["a", "b"], {"a": 65_536, "b": 1})
    assert Topics.mapped(["a", "b"], {"a": 65_535, "b": 1}).n_all == 65_536
