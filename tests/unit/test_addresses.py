"""Prefix arithmetic against the same questions asked of every single address."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Range, merge, of_family, segments, span, subtract

# Small enough to ask each address: the /26 at the lower end of IPv4 and the /122 at the upper end of IPv6.
SMALL = {Family.IPV4: (0, 6), Family.IPV6: ((1 << 128) - 64, 6)}


@st.composite
def small_prefixes(draw: st.DrawFn, family: Family) -> IPv4Network | IPv6Network:
    base, bits = SMALL[family]
    free = draw(st.integers(0, bits))
    offset = draw(st.integers(0, (1 << (bits - free)) - 1)) << free
    return ip_network((base + offset, family.bits - free))


families = st.sampled_from(list(Family))
ranges = st.builds(lambda first, length: Range(first, first + length), st.integers(0, 60), st.integers(0, 12))


def every_address(of: tuple[Range, ...]) -> set[int]:
    return {value for extent in of for value in range(extent.first, extent.last + 1)}


def sorted_and_apart(result: tuple[Range, ...]) -> bool:
    return all(before.last + 1 < after.first for before, after in pairwise(result))


@given(st.lists(ranges))
def test_merge_keeps_every_address_and_joins_neighbours(given_ranges: list[Range]) -> None:
    merged = merge(given_ranges)
    assert every_address(merged) == every_address(tuple(given_ranges))
    assert sorted_and_apart(merged)
    assert merge(merged) == merged


@given(st.lists(ranges), st.lists(ranges))
def test_subtract_is_the_difference_of_sets(kept: list[Range], removed: list[Range]) -> None:
    left = subtract(kept, removed)
    assert every_address(left) == every_address(tuple(kept)) - every_address(tuple(removed))
    assert sorted_and_apart(left)


@given(st.data(), families)
def test_segments_give_each_address_the_value_of_its_prefixes(data: st.DataObject, family: Family) -> None:
    labelled = data.draw(st.lists(st.tuples(small_prefixes(family), st.integers(0, 3)), max_size=8))
    base, bits = SMALL[family]
    cut = list(segments(labelled, family, lambda around: around[-1]))
    extents = tuple(extent for extent, _ in cut)
    assert all(before.last < after.first for before, after in pairwise(extents))
    for value in range(base, base + (1 << bits)):
        around = [item for item in labelled if value in span(item[0])]
        # the longest wins; of equal ones the one named last
        expected = max(enumerate(around), key=lambda item: (item[1][0].prefixlen, item[0]), default=(0, (None, None)))[1][1]
        found = [label for extent, label in cut if value in extent]
        assert found == ([] if not around else [expected])


@given(st.data(), families)
def test_segments_show_all_values_around_an_address_shortest_prefix_first(data: st.DataObject, family: Family) -> None:
    prefixes = data.draw(st.lists(small_prefixes(family), unique=True, max_size=8))
    seen: list[list[int]] = []

    def pick(around: list[int]) -> int:
        seen.append(list(around))
        return around[-1]

    list(segments([(prefix, prefix.prefixlen) for prefix in prefixes], family, pick))
    assert all(around == sorted(around) for around in seen)


@given(st.data())
def test_of_family_leaves_the_other_family_out(data: st.DataObject) -> None:
    both = [data.draw(small_prefixes(family)) for family in data.draw(st.lists(families, max_size=6))]
    for family in Family:
        own = tuple(span(prefix) for prefix in both if Family.of(prefix) is family)
        assert every_address(of_family(both, family)) == every_address(own)


def test_the_whole_address_space_is_one_range() -> None:
    for text, family in (("0.0.0.0/0", Family.IPV4), ("::/0", Family.IPV6)):
        (extent,) = of_family([ip_network(text)], family)
        assert (extent.first, extent.last) == (0, (1 << family.bits) - 1)


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (2, 1)])
def test_a_range_cannot_run_backwards_or_below_nothing(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        Range(first, last)
