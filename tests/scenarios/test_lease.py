"""Nothing is sent without a lease."""

from loadgen.scenarios.lease_table import Lease, ended


def test_a_lease_ends_in_time_and_in_number() -> None:
    lease = Lease(until_ns=100, most=10)
    assert [lease.holds(99, 9), lease.holds(100, 9), lease.holds(99, 10)] == [True, False, False]


def test_a_late_grant_changes_nothing() -> None:
    lease = Lease(until_ns=100, most=10)
    lease.renew(50, 5)
    assert (lease.until_ns, lease.most) == (100, 10)


def test_one_that_has_ended_holds_after_it_was_renewed() -> None:
    lease = ended()
    assert not lease.holds(0, 0)
    lease.renew(1, 1)
    assert lease.holds(0, 0)
