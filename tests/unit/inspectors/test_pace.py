"""When a worker counts as one that lags, stalls or is spared, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.inspectors.pace import LAG_NS, LONGEST_AFTER_FAILURE_NS, SECOND, STALLED_NS, Backoff, Pace, Sign, is_idle, is_stalled

LENGTH = 128
LOOK = SECOND // 100


def test_a_packet_that_takes_long_is_a_lag() -> None:
    pace = Pace(LENGTH)
    at_it = Sign(beat=SECOND, busy=True, served=0, backlog=0)
    assert not pace.lags(SECOND + LAG_NS, at_it)
    assert pace.lags(SECOND + LAG_NS + 1, at_it)
    assert not pace.lags(SECOND + 10 * LAG_NS, at_it._replace(busy=False))


def test_packets_that_nobody_reads_are_a_lag() -> None:
    pace = Pace(LENGTH)
    unread = Sign(beat=SECOND, busy=False, served=7, backlog=900)
    looks = [pace.lags(SECOND + number * LOOK, unread) for number in range(8)]
    assert looks == [number * LOOK > LAG_NS for number in range(8)]


def test_an_empty_socket_in_between_is_no_lag() -> None:
    pace = Pace(LENGTH)
    for number in range(100):
        sign = Sign(beat=number * LOOK, busy=False, served=number, backlog=900 * (number % 4 != 0))
        assert not pace.lags(number * LOOK, sign)


def test_a_worker_that_is_never_done_but_fast_does_not_lag() -> None:
    pace = Pace(LENGTH)
    for number in range(100):
        assert not pace.lags(number * LOOK, Sign(number * LOOK, busy=True, served=number * 600, backlog=100_000))


@given(st.integers(100, 40_000_000), st.integers(1, LENGTH))
def test_no_packet_waits_for_longer_than_a_lag_and_two_looks(service_ns: int, waiting: int) -> None:
    """A queue that is kept full up to `waiting`, by a worker that takes that long a packet, until it is seen to lag."""
    pace = Pace(LENGTH)
    now = 0
    for _ in range(60):
        now += LOOK
        served = now // service_ns
        if pace.lags(now, Sign(served * service_ns, busy=True, served=served, backlog=900 * waiting)):
            break
        # who came last waits for all that are before it, and began to wait at 0 at the earliest
        assert min(waiting * service_ns, now) <= LAG_NS + 2 * LOOK


@pytest.mark.parametrize(("busy", "backlog", "idle"), [(False, 0, True), (True, 0, False), (False, 1, False), (True, 1, False)])
def test_idle(busy: bool, backlog: int, idle: bool) -> None:
    assert is_idle(Sign(0, busy, 0, backlog)) is idle


def test_stalled() -> None:
    sign = Sign(beat=SECOND, busy=False, served=0, backlog=0)
    assert not is_stalled(SECOND + STALLED_NS, sign)
    assert is_stalled(SECOND + STALLED_NS + 1, sign)


def test_packets_pass_for_longer_each_time_until_one_kept_up() -> None:
    backoff = Backoff(LONGEST_AFTER_FAILURE_NS)
    waits = [backoff.after(0) / SECOND for _ in range(20)]
    assert waits[:5] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == 30
    assert backoff.after(10 * SECOND) / SECOND == 0.1
    assert backoff.after(10 * SECOND - 1) / SECOND == 0.2
