"""Who lasts: held to a second, slower definition, and to each thing that makes a flow start anew."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.caps.lasting import LEAST_SECONDS, Lasting, Wanted
from edged.tracked import End, Tracked, Volume

WANTED = Wanted(sustained=8_000, lasting=4.0)  # 1000 bytes a second
RATE = WANTED.sustained // 8


def flow(number: int = 1, *, sent: int = 0, answered: int = 0, incarnation: int = 7) -> Tracked:
    near, far = End(int(ip_address("203.0.113.1")), 1024 + number), End(int(ip_address("198.51.100.1")), 443)
    key = number.to_bytes(4, "big")
    return Tracked(Family.IPV4, 6, near, far, 0, Volume(sent // 100, sent), Volume(answered // 100, answered), incarnation, key)


def always(_: Tracked) -> Wanted:
    return WANTED


def found(lasting: Lasting, now: float, *flows: Tracked) -> list[int]:
    """The numbers of those that have become bulk."""
    return [int.from_bytes(each.key, "big") for each in lasting.sample(now, flows, always)]


def run(samples: Sequence[tuple[float, Tracked]]) -> list[bool]:
    """For one flow at several times, whether it was found."""
    lasting = Lasting()
    return [bool(found(lasting, now, seen)) for now, seen in samples]


Step = tuple[int, int, int]  # quarters of a second, octets sent, octets answered
STEPS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3 * RATE), st.integers(0, 3 * RATE)), max_size=40)


def histories(steps: Sequence[Step]) -> list[tuple[float, Tracked]]:
    """What is sampled after each step, from second 100 on."""
    times = accumulate((quarters / 4 for quarters, _, _ in steps), initial=100.0)
    sent = accumulate((more for _, more, _ in steps), initial=600_000)
    answered = accumulate((more for _, _, more in steps), initial=200_000)
    return [(now, flow(sent=up, answered=down)) for now, up, down in zip(times, sent, answered, strict=True)]


@given(STEPS)
def test_found_is_what_kept_the_rate_between_all_samples_of_the_last_seconds(steps: Sequence[Step]) -> None:
    samples = histories(steps)
    judged: list[tuple[float, Tracked]] = []
    expected = []
    for now, seen in samples:
        counts = not judged or now - judged[-1][0] >= LEAST_SECONDS
        judged += [(now, seen)] if counts else []
        # any former sample that is long enough ago, from which on no two neighbours show less than the rate
        starts = (start for start in range(len(judged)) if judged[-1][0] - judged[start][0] >= WANTED.lasting)
        expected.append(counts and any(all(map(keeps, pairwise(judged[start:]))) for start in starts))
    assert run(samples) == expected


def keeps(pair: tuple[tuple[float, Tracked], tuple[float, Tracked]]) -> bool:
    (before, was), (after, became) = pair
    moved = max(became.original.octets - was.original.octets, became.reply.octets - was.reply.octets)
    return moved * 8 / (after - before) >= WANTED.sustained


@given(st.lists(st.floats(0.6, 30), min_size=1, max_size=30), st.booleans())
def test_a_steady_flow_is_found_with_the_first_sample_that_is_late_enough(gaps: list[float], upward: bool) -> None:
    times = [*accumulate(gaps, initial=50.0)]
    moved = [round((now - 50.0) * RATE * 1.01) for now in times]
    samples = [(now, flow(sent=much) if upward else flow(answered=much)) for now, much in zip(times, moved, strict=True)]
    assert run(samples) == [now - 50.0 >= WANTED.lasting for now in times]


@given(st.lists(st.floats(0.5, 30), max_size=30))
def test_a_flow_below_the_rate_is_never_found(gaps: list[float]) -> None:
    samples = [(now, flow(sent=int((now - 50.0) * RATE * 0.98))) for now in accumulate(gaps, initial=50.0)]
    assert not any(run(samples))


def test_both_directions_together_do_not_make_a_rate() -> None:
    assert not any(run([(now, flow(sent=now * RATE * 3 // 5, answered=now * RATE * 3 // 5)) for now in range(20)]))


def test_one_pause_starts_anew_however_fast_it_was_before() -> None:
    moved = [0, 5, 10, 15, 15, 16, 17, 18, 19]
    assert run([(now, flow(sent=much * RATE)) for now, much in enumerate(moved)]) == [False] * 8 + [True]


def test_a_burst_is_judged_by_the_whole_time_between_two_samples() -> None:
    assert run([(0, flow()), (1, flow(sent=3 * RATE)), (4, flow(sent=6 * RATE - 1))]) == [False] * 3
    assert run([(0, flow()), (1, flow(sent=1 * RATE)), (4, flow(sent=4 * RATE))]) == [False, False, True]


def test_samples_close_together_are_one() -> None:
    """From one to the next nothing moves at times, and over each second yet as much as is wanted."""
    at = [(0, 0), (0.4, 0), (1, 1), (1.3, 1), (2, 2), (2.1, 2), (3, 3), (4, 4), (4.2, 4)]
    assert run([(now, flow(sent=much * RATE)) for now, much in at]) == [now == 4 for now, _ in at]


@pytest.mark.parametrize("zeroed", ["sent", "answered"])
def test_counters_of_one_direction_that_go_back_start_anew_whatever_the_other_moves(zeroed: str) -> None:
    samples = []
    for now in range(9):
        moved = dict.fromkeys(("sent", "answered"), (9 + now) * RATE)
        if now >= 4:
            moved[zeroed] = (now - 4) * RATE
        samples.append((now, flow(**moved)))
    assert run(samples) == [False] * 8 + [True]


def test_another_connection_between_the_same_ends_starts_anew() -> None:
    lasting = Lasting()
    for now in range(4):
        assert found(lasting, now, flow(sent=now * RATE)) == []
    for now in range(4, 8):
        assert found(lasting, now, flow(sent=now * RATE, incarnation=8)) == []
    assert len(lasting) == 1
    assert found(lasting, 8, flow(sent=8 * RATE, incarnation=8)) == [1]


def test_two_connections_with_one_id_are_two() -> None:
    lasting = Lasting()
    for now in range(4):
        found(lasting, now, flow(1, sent=now * RATE), flow(2, sent=50 * RATE))
    assert found(lasting, 4, flow(2, sent=50 * RATE), flow(1, sent=4 * RATE)) == [1]


def test_a_connection_that_is_told_of_twice_is_found_once() -> None:
    lasting = Lasting()
    for now in range(4):
        assert found(lasting, now, flow(sent=now * RATE), flow(sent=now * RATE + 100)) == []
    assert found(lasting, 4, flow(sent=4 * RATE), flow(sent=4 * RATE)) == [1]


def test_what_was_found_and_could_not_be_marked_is_found_again_while_it_lasts() -> None:
    moved = [0, 1, 2, 3, 4, 5, 5]
    assert run([(now, flow(sent=much * RATE)) for now, much in enumerate(moved)]) == [False] * 4 + [True, True, False]


def test_who_is_not_capped_is_not_measured_and_starts_when_that_changes() -> None:
    lasting = Lasting()
    for now in range(6):
        assert lasting.sample(now, [flow(sent=now * RATE)], lambda _: None) == ()
        assert len(lasting) == 0
    for now in range(6, 10):
        assert found(lasting, now, flow(sent=now * RATE)) == []
    assert found(lasting, 10, flow(sent=10 * RATE)) == [1]


def test_each_is_held_to_what_is_wanted_of_it() -> None:
    lasting = Lasting()
    plans = {1: Wanted(8_000, 2.0), 2: Wanted(16_000, 2.0), 3: Wanted(8_000, 3.0), 4: None}
    for now in range(4):
        flows = [flow(number, sent=now * RATE) for number in plans]
        heavy = lasting.sample(now, flows, lambda each: plans[int.from_bytes(each.key, "big")])
        assert [each.key[-1] for each in heavy] == {0: [], 1: [], 2: [1], 3: [1, 3]}[now]


def test_another_rate_that_is_wanted_starts_anew_and_another_time_does_not() -> None:
    lasting = Lasting()
    for now in range(3):
        lasting.sample(now, [flow(sent=2 * now * RATE)], always)
    assert lasting.sample(3, [flow(sent=6 * RATE)], lambda _: WANTED._replace(lasting=3.0))
    for now in range(4, 8):
        assert not lasting.sample(now, [flow(sent=2 * now * RATE)], lambda _: WANTED._replace(sustained=16_000))
    assert lasting.sample(8, [flow(sent=16 * RATE)], lambda _: WANTED._replace(sustained=16_000))


def test_what_is_gone_is_forgotten_and_begins_anew_when_it_comes_back() -> None:
    lasting = Lasting()
    for now in range(4):
        found(lasting, now, flow(sent=now * RATE))
    assert found(lasting, 4) == []
    assert len(lasting) == 0
    assert found(lasting, 5, flow(sent=5 * RATE)) == []


def test_no_more_are_held_than_may_be_and_those_that_are_keep_their_places() -> None:
    lasting = Lasting(most=3)
    first = [1, 2, 3]
    for now in range(4):
        found(lasting, now, *(flow(number, sent=now * RATE) for number in (first if now == 0 else (9, 8, *first))))
        assert len(lasting) == 3
    assert found(lasting, 4, *(flow(number, sent=4 * RATE) for number in (9, 8, *first))) == first
    for now in range(5, 10):
        heavy = found(lasting, now, *(flow(number, sent=now * RATE) for number in (9, 8)))
        assert len(lasting) == (0 if now == 5 else 2)
    assert heavy == [], "the first sample freed the places, and only the next could take them"
    assert found(lasting, 10, *(flow(number, sent=10 * RATE) for number in (9, 8))) == [9, 8]
