"""Which prefix lengths of a list get a hash set each, and which share one set of ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.ruleset.layout import MOST_RANGES, Layout, choose

COUNTS = st.dictionaries(
    st.integers(1, 128),
    st.one_of(st.integers(0, 40), st.integers(0, 6000), st.sampled_from([4095, 4096, 4097, 1_000_000])),
    max_size=24,
)


def lengths_of(counts: dict[int, int]) -> list[int]:
    return sorted(length for length, count in counts.items() if count)


@given(COUNTS)
def test_every_length_that_occurs_is_in_one_place(counts: dict[int, int]) -> None:
    layout = choose(counts)
    assert sorted((*layout.hashed, *layout.ranged)) == lengths_of(counts)
    assert list(layout.hashed) == sorted(layout.hashed)
    assert list(layout.ranged) == sorted(layout.ranged)


@given(COUNTS)
def test_ranges_are_bounded(counts: dict[int, int]) -> None:
    assert sum(counts[length] for length in choose(counts).ranged) <= MOST_RANGES


@given(COUNTS)
def test_no_layout_costs_more_than_a_hash_set_a_length(counts: dict[int, int]) -> None:
    alone = sum(choose({length: count}).nanoseconds for length, count in counts.items())
    assert choose(counts).nanoseconds <= alone + 1e-6


@given(COUNTS, st.integers(1, 128), st.integers(0, 5000))
def test_what_grows_gets_no_cheaper(counts: dict[int, int], length: int, more: int) -> None:
    grown = {**counts, length: counts.get(length, 0) + more}
    assert choose(grown).nanoseconds >= choose(counts).nanoseconds - 1e-6


@given(COUNTS.filter(lambda counts: any(counts.values())), st.data())
def test_a_list_that_changes_by_one_keeps_its_layout_within_a_power_of_two(counts: dict[int, int], data: st.DataObject) -> None:
    length = data.draw(st.sampled_from(lengths_of(counts)))
    most = 1 << (counts[length] - 1).bit_length()
    for changed in {min(counts[length] + 1, most), max(counts[length] - 1, most // 2 + 1)}:
        assert choose({**counts, length: changed}) == choose(counts)


def test_beyond_a_power_of_two_a_layout_may_change() -> None:
    counts = {**dict.fromkeys(range(8, 31), 1), 31: 2048, 32: 1024}
    assert choose(counts) != choose({**counts, 32: 1025})


@pytest.mark.parametrize(
    ("counts", "hashed", "ranged"),
    [
        ({}, (), ()),
        ({32: 0}, (), ()),
        ({32: 1}, (32,), ()),
        ({24: 1, 32: 1}, (24, 32), ()),
        ({16: 1, 24: 1, 32: 1}, (16, 24, 32), ()),
        (dict.fromkeys(range(29, 33), 1), (), (29, 30, 31, 32)),
        (dict.fromkeys(range(8, 33), 1), (), tuple(range(8, 33))),
        ({24: 20_000, 32: 1_000_000}, (24, 32), ()),
        ({**dict.fromkeys(range(8, 32), 10), 32: 1_000_000}, (32,), tuple(range(8, 32))),
        ({**dict.fromkeys(range(8, 24), 10), 24: 5000, 32: 100_000}, (24, 32), tuple(range(8, 24))),
        (dict.fromkeys(range(20, 33), 4096), tuple(range(20, 33)), ()),
    ],
    ids=str,
)
def test_few_lengths_are_hashed_and_many_rare_ones_share_ranges(
    counts: dict[int, int], hashed: tuple[int, ...], ranged: tuple[int, ...]
) -> None:
    layout = choose(counts)
    assert (layout.hashed, layout.ranged) == (hashed, ranged)


@pytest.mark.parametrize(
    ("counts", "nanoseconds"),
    [({}, 0), ({32: 1}, 69), ({32: 8192}, 69), ({24: 1, 32: 1}, 138), (dict.fromkeys(range(8, 33), 1), 269)],
    ids=str,
)
def test_the_cost_of_small_lists_is_what_was_measured(counts: dict[int, int], nanoseconds: float) -> None:
    assert choose(counts).nanoseconds == nanoseconds


def test_between_the_measured_points_the_cost_lies_between_theirs_and_beyond_them_it_goes_on() -> None:
    costs = [choose({32: 1 << power}).nanoseconds for power in range(13, 23)]
    assert costs == sorted(set(costs))
    assert 69 == costs[0] < costs[3] < 187 < costs[4] < 337 < costs[-1]


def test_a_layout_is_the_same_whatever_the_order_of_lengths() -> None:
    counts = dict.fromkeys(range(8, 33), 1) | {32: 50_000, 24: 50_000}
    assert choose(dict(reversed(counts.items()))) == choose(counts)
    assert isinstance(choose(counts), Layout)
