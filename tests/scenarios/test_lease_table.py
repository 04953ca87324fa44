"""A shard has one worker at a time, whoever joins, leaves or falls silent."""

from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenarios.lease_table import LEASE_S, MARGIN_S, Grant, LeaseTable

GONE_S = LEASE_S + MARGIN_S


def test_each_worker_gets_the_shard_of_its_index() -> None:
    roster = LeaseTable(3)
    assert [roster.ask(worker, 0.0, index) for worker, index in (("c", 2), ("a", 0), ("b", 1))] == [
        Grant(2, 3),
        Grant(0, 3),
        Grant(1, 3),
    ]


def test_a_worker_too_many_waits() -> None:
    roster = LeaseTable(1)
    roster.ask("a", 0.0)
    assert roster.ask("b", GONE_S - 0.1, 1) == Grant(None, 1)


def test_a_silent_workers_shard_is_taken_over_only_after_its_lease_and_the_margin() -> None:
    roster = LeaseTable(1)
    roster.ask("a", 0.0)
    assert not roster.is_silent("a", GONE_S)
    assert roster.ask("b", GONE_S, 1).shard is None
    assert roster.is_silent("a", GONE_S + 0.1)
    assert roster.ask("b", GONE_S + 0.1, 1) == Grant(0, 1, fencing_token=1)


def test_a_worker_whose_shard_was_taken_is_told_so_and_gets_no_other() -> None:
    roster = LeaseTable(2)
    roster.ask("a", 0.0)
    roster.ask("b", GONE_S + 1, 1)
    roster.ask("c", GONE_S + 1, 2)
    assert roster.shard_of("c") == 0
    assert roster.ask("a", GONE_S + 2) == Grant(None, 2, lost=True)


def test_a_worker_that_comes_back_in_time_keeps_its_shard() -> None:
    roster = LeaseTable(1)
    roster.ask("a", 0.0)
    assert roster.ask("a", 10 * GONE_S) == Grant(0, 1)


def test_a_shard_is_free_at_once_when_its_worker_says_its_last_word() -> None:
    roster = LeaseTable(1)
    roster.ask("a", 0.0)
    roster.leave("a")
    assert roster.ask("b", 0.1, 1) == Grant(0, 1, fencing_token=1)


def test_lives_go_on_in_the_next_test() -> None:
    first = LeaseTable(2)
    first.ask("a", 0.0)
    assert first.next_tokens() == [1, 0]
    assert LeaseTable(2, first.next_tokens()).ask("b", 0.0) == Grant(0, 2, fencing_token=1)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0.0, 4.0), st.booleans()), max_size=60))
def test_two_workers_never_hold_a_lease_of_the_same_shard(steps: list[tuple[str, float, bool]]) -> None:
    roster, now_s = LeaseTable(2), 0.0
    leases: dict[str, tuple[int, float]] = {}
    for worker, wait_s, leaves in steps:
        now_s += wait_s
        grant = roster.ask(worker, now_s, "abcde".index(worker))
        if grant.shard is not None:
            leases[worker] = (grant.shard, now_s + LEASE_S)
        if leaves:
            roster.leave(worker)
            leases.pop(worker, None)
        held = [shard for shard, until_s in leases.values() if until_s > now_s]
        assert len(held) == len(set(held))
