"""Packed prefixes say the same as prefixes one by one: every operation against a model that loops over `ipaddress`."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Prefix, span
from edged.packed import Entries, Keys, Prefixes, masked, pack, pack_number, unpack
from tests.gateway import entries, entries_of, prefixes

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)


def addresses(family: Family) -> st.SearchStrategy[int]:
    """Both ends of the address space, where bytes end in zeros or begin with ones, and few others, so that prefixes meet."""
    last = (1 << family.bits) - 1
    top = 1 << family.bits - 1
    edges = [0, 1, 2, 3, 255, 256, 1 << 24, top - 1, top, top + 1, top + 256, last - 256, last - 255, last - 1, last]
    return st.one_of(st.sampled_from(edges), st.integers(0, 20), st.integers(0, 20).map(lambda n: last - n), st.integers(0, last))


def some_prefixes(family: Family) -> st.SearchStrategy[Prefix]:
    bits = family.bits
    lengths = st.one_of(st.sampled_from([0, 1, 8, bits // 2, bits - 2, bits - 1, bits, bits]), st.integers(0, bits))
    kind = IPv4Network if family is Family.IPV4 else IPv6Network
    return st.builds(lambda address, length: kind((address, length), strict=False), addresses(family), lengths)


def lists(family: Family, most: int = 12) -> st.SearchStrategy[list[Prefix]]:
    return st.lists(some_prefixes(family), max_size=most)


def packed(family: Family, listed: Iterable[Prefix]) -> Entries:
    return entries_of(enumerate(listed, start=1))[family]


def unpacked(found: Prefixes) -> set[Prefix]:
    """The prefixes, checked to be as the type promises."""
    assert list(found.by_length) == sorted(found.by_length)
    for length, keys in found.by_length.items():
        assert len(keys), "no length is empty"
        assert (keys.family, keys.length) == (found.family, length)
        assert list(keys.networks()) == sorted(set(keys.networks()))
    every = {
        ip_network((found.family.address(network), length))
        for length, keys in found.by_length.items()
        for network in keys.networks()
    }
    assert len(every) == len(found)
    return every


def probes(listed: Iterable[Prefix], family: Family) -> set[int]:
    """The first and last address of each prefix, and those beside them, as far as there are such."""
    ends = {end for prefix in listed for end in (span(prefix).first, span(prefix).last)}
    return {value for end in ends for value in (end - 1, end, end + 1) if 0 <= value < 1 << family.bits} | {
        0,
        (1 << family.bits) - 1,
    }


def outermost(listed: Iterable[Prefix]) -> set[Prefix]:
    """Those that no other one covers."""
    every = set(listed)
    return {one for one in every if not any(one != other and one.subnet_of(other) for other in every)}  # type: ignore[arg-type]


# --- packing ---


@FAMILIES
@given(data=st.data())
def test_what_is_packed_is_unpacked(family: Family, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(addresses(family)))
    wire = b"".join(number.to_bytes(family.bits // 8, "big") for number in numbers)
    assert unpack(family, pack(family, wire)) == wire


@FAMILIES
@given(data=st.data())
def test_a_mask_keeps_the_network(family: Family, data: st.DataObject) -> None:
    prefix = data.draw(some_prefixes(family))
    within = data.draw(st.integers(span(prefix).first, span(prefix).last))
    found = unpack(family, masked(family, pack_number(family, within), prefix.prefixlen))
    assert ip_address(found) == prefix.network_address


# --- what lists say ---


@FAMILIES
@given(data=st.data())
def test_entries_are_in_order_and_keep_their_lines(family: Family, data: st.DataObject) -> None:
    listed = data.draw(lists(family))
    found = packed(family, listed)
    wire, width = unpack(family, found.addresses), family.bits // 8
    said = [
        (int.from_bytes(wire[place * width : (place + 1) * width], "big"), int(length), int(line))
        for place, (length, line) in enumerate(zip(found.lengths, found.lines, strict=True))
    ]
    assert said == sorted((int(each.network_address), each.prefixlen, line) for line, each in enumerate(listed, start=1))
    assert found.present_lengths == tuple(sorted({each.prefixlen for each in listed}))
    assert len(found) == len(listed)


@FAMILIES
@given(data=st.data())
def test_the_entries_around_an_address(family: Family, data: st.DataObject) -> None:
    listed = data.draw(lists(family))
    found = packed(family, listed)
    for value in probes(listed, family):
        around = sorted((each.prefixlen, line) for line, each in enumerate(listed, start=1) if value in span(each))
        assert list(found.around(value)) == around


@FAMILIES
@given(data=st.data())
def test_the_entries_that_meet_a_prefix(family: Family, data: st.DataObject) -> None:
    listed, asked = data.draw(lists(family)), data.draw(some_prefixes(family))
    meeting = sorted(
        (int(each.network_address), each.prefixlen, line) for line, each in enumerate(listed, start=1) if each.overlaps(asked)
    )
    assert sorted(packed(family, listed).meeting(asked)) == meeting


@FAMILIES
def test_an_empty_list_says_nothing(family: Family) -> None:
    empty = Entries.empty(family)
    assert (len(empty), empty.present_lengths, list(empty.around(0))) == (0, (), [])
    assert not list(empty.meeting(ip_network((0, 0)) if family is Family.IPV4 else ip_network("::/0")))
    assert not len(Prefixes.merged(family, [empty, empty]))
    assert not len(Prefixes.merged(family, []))


# --- what they mean ---


@FAMILIES
@given(data=st.data())
def test_the_union_of_lists_is_what_none_of_their_entries_covers(family: Family, data: st.DataObject) -> None:
    several = data.draw(st.lists(lists(family), max_size=3))
    merged = Prefixes.merged(family, [packed(family, listed) for listed in several])
    assert unpacked(merged) == outermost(prefix for listed in several for prefix in listed)


@FAMILIES
@given(data=st.data())
def test_prefixes_without_holes(family: Family, data: st.DataObject) -> None:
    listed, holes = data.draw(lists(family)), data.draw(lists(family, 4))
    whole = Prefixes.merged(family, [packed(family, listed)])
    found = whole.without(holes)
    unpacked(found)
    for value in probes([*listed, *holes], family):
        expected = any(value in span(each) for each in listed) and not any(value in span(each) for each in holes)
        assert found.holds(value) is expected
    assert unpacked(whole) == outermost(listed), "the prefixes themselves stay as they were"


@FAMILIES
@given(data=st.data())
def test_a_prefix_is_split_around_a_hole_into_the_fewest(family: Family, data: st.DataObject) -> None:
    around = data.draw(some_prefixes(family))
    length = data.draw(st.integers(around.prefixlen, family.bits))
    hole = type(around)((data.draw(st.integers(span(around).first, span(around).last)), length), strict=False)
    found = unpacked(Prefixes.merged(family, [packed(family, [around])]).without([hole]))
    assert found == set(around.address_exclude(hole))  # type: ignore[arg-type]
    assert found == set(collapse_addresses(found))  # type: ignore[type-var]  # all of one family


def test_a_hole_of_the_other_family_cuts_nothing() -> None:
    listed = entries("10.0.0.0/8", "2001:db8::/32")
    for family, hole in ((Family.IPV4, "::/0"), (Family.IPV6, "0.0.0.0/0")):
        whole = Prefixes.merged(family, [listed[family]])
        assert whole.without(prefixes(hole)) == whole


@FAMILIES
@given(data=st.data())
def test_prefixes_hold_what_lies_in_one(family: Family, data: st.DataObject) -> None:
    listed = data.draw(lists(family))
    found = Prefixes.merged(family, [packed(family, listed)])
    for value in probes(listed, family):
        assert found.holds(value) is any(value in span(each) for each in listed)


@FAMILIES
@given(data=st.data())
def test_some_lengths_alone(family: Family, data: st.DataObject) -> None:
    found = Prefixes.merged(family, [packed(family, data.draw(lists(family)))])
    lengths = data.draw(st.sets(st.sampled_from([0, 1, *found.by_length])))
    assert unpacked(found.only(lengths)) == {each for each in unpacked(found) if each.prefixlen in lengths}


# --- keys ---


@FAMILIES
@given(data=st.data())
def test_keys_are_sets_of_networks(family: Family, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, family.bits))
    networks = addresses(family).map(lambda value: value & ((1 << family.bits) - (1 << family.bits - length)))
    one, other = data.draw(st.lists(networks)), data.draw(st.lists(networks))
    left, right = Keys.of(family, length, one), Keys.of(family, length, other)
    assert list(left.networks()) == sorted(set(one))
    assert list(left.minus(right).networks()) == sorted(set(one) - set(other))
    assert list(left.plus(right).networks()) == sorted({*one, *other})
    assert left.wire == b"".join(network.to_bytes(family.bits // 8, "big") for network in sorted(set(one)))
    assert not len(left.none())
    assert left.minus(right).plus(right) == left.plus(right) == right.plus(left)
    assert (left == right) is (set(one) == set(other))
    assert left == Keys.of(family, length, [*one[::-1], *one])
    assert hash(left) == hash(Keys.of(family, length, one))
    for value in [*one, *other]:
        assert left.holds(value) is (value in set(one))
        assert left.holds(value | (1 << family.bits - length) - 1) is (value in set(one))


def test_keys_differ_by_family_length_and_content() -> None:
    every = [
        *(Keys.of(Family.IPV4, length, networks) for length in (31, 32) for networks in ((), (0,), (2,), (0, 2))),
        *(Keys.of(Family.IPV6, length, networks) for length in (32, 128) for networks in ((), (0,), (1 << 96,))),
    ]
    assert len({each.digest for each in every}) == len(every)
    assert len(set(every)) == len(every)
    assert every[0] != "a text"


@FAMILIES
@given(data=st.data())
def test_prefixes_are_equal_by_what_they_hold(family: Family, data: st.DataObject) -> None:
    one, other = data.draw(lists(family, 3)), data.draw(lists(family, 3))
    left, right = (Prefixes.merged(family, [packed(family, listed)]) for listed in (one, other))
    again = Prefixes.merged(family, [packed(family, [prefix]) for prefix in reversed(one)])
    same = outermost(one) == outermost(other)
    assert left == again
    assert left.digest == again.digest
    assert (left == right) is same
    assert (left.digest == right.digest) is same


def test_keys_look_like_no_address() -> None:
    """They may be of a confidential list, and stand in every plan that is shown or logged."""
    keys = Keys.of(Family.IPV4, 32, [int(ip_address("192.0.2.200"))])
    assert repr(keys) == f"Keys(ip/32, 1, {keys.digest})"
