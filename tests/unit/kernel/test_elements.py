"""Ranges become the kernel's starts and ends, and these become the same ranges again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Range
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32, be64, each, nest, number, parse
from edged.kernel.elements import FOREIGN_END, MESSAGE_LIMIT, decode_elements, encode_bounds, encode_elements
from edged.kernel.identity import userdata
from edged.kernel.uapi import ElemAttr
from edged.ruleset.sets import Element
from tests.contract.tables import NOW, address_sets, prefix


def entries(payloads: list[bytes]) -> list[dict[int, bytes]]:
    return [parse(element) for payload in payloads for _, element in each(payload)]


@pytest.mark.parametrize("family", Family)
@given(st.data())
def test_ranges_come_back_whatever_the_order(family: Family, data: st.DataObject) -> None:
    elements = data.draw(address_sets("any", family)).elements
    single = [nest(uapi.LIST_ELEM, element) for payload in encode_elements(family, elements, NOW) for _, element in each(payload)]
    random.Random(4).shuffle(single)
    assert decode_elements(family, [b"".join(single)], NOW) == frozenset(elements)


def key(address: int) -> bytes:
    return nest(ElemAttr.KEY, attribute(uapi.DATA_VALUE, address.to_bytes(4, "big")))


def start(address: int, *more: bytes) -> bytes:
    return nest(uapi.LIST_ELEM, key(address), *more)


def end(address: int) -> bytes:
    return nest(uapi.LIST_ELEM, key(address), be32(ElemAttr.FLAGS, uapi.ELEM_INTERVAL_END))


def test_a_range_to_the_last_address_has_no_end() -> None:
    (only,) = entries(list(encode_elements(Family.IPV4, [prefix("0.0.0.0/0")], NOW)))
    assert parse(only[ElemAttr.KEY])[uapi.DATA_VALUE] == bytes(4)
    assert ElemAttr.FLAGS not in only


def test_an_end_without_a_start_says_nothing() -> None:
    # nft writes one at 0.0.0.0; of a range that ran out the kernel shows the end for a while
    listed = end(0) + start(10) + end(20) + end(30)
    assert decode_elements(Family.IPV4, [listed], NOW) == frozenset({Element(Range(10, 19))})


def test_a_key_that_is_longer_than_an_address_is_not_ours() -> None:
    key = nest(ElemAttr.KEY, attribute(uapi.DATA_VALUE, bytes(3) + b"\1" + bytes(4)))
    assert decode_elements(Family.IPV4, [nest(1, key)], NOW) is None
    assert decode_elements(Family.IPV6, [nest(1, key)], NOW) is not None


def test_a_range_that_starts_inside_another_is_not_ours() -> None:
    assert decode_elements(Family.IPV4, [start(10) + start(20) + end(30)], NOW) is None
    assert decode_elements(Family.IPV4, [start(10) + start(20)], NOW) is None


@pytest.mark.parametrize(
    ("more", "until"),
    [
        ((), None),
        ((userdata("whatever"),), None),
        (
            (
                be64(ElemAttr.TIMEOUT, 5000),
                be64(ElemAttr.EXPIRATION, 4000),
                attribute(ElemAttr.USERDATA, userdata("until=1800000004")),
            ),
            1_800_000_004,
        ),
        ((be64(ElemAttr.TIMEOUT, 5000),), FOREIGN_END),
        ((be64(ElemAttr.TIMEOUT, 5000), attribute(ElemAttr.USERDATA, userdata("until=soon"))), FOREIGN_END),
        ((attribute(ElemAttr.USERDATA, userdata("until=1800000000")),), FOREIGN_END),
    ],
)
def test_an_end_counts_only_where_timeout_and_comment_agree(more: tuple[bytes, ...], until: int | None) -> None:
    assert decode_elements(Family.IPV4, [start(10, *more) + end(20)], NOW) == frozenset({Element(Range(10, 19), until)})


@pytest.mark.parametrize(
    ("until", "milliseconds"),
    [(int(NOW) + 10, 9750), (int(NOW), 1), (0, 1), (253_402_300_799, 200 * 365 * 86400 * 1000)],
)
def test_the_timeout_is_what_is_left(until: int, milliseconds: int) -> None:
    first, _ = entries(list(encode_elements(Family.IPV4, [prefix("10.0.0.0/8", until)], NOW)))
    assert number(first[ElemAttr.TIMEOUT]) == milliseconds


def test_bounds_carry_no_timeout() -> None:
    first, second = entries(list(encode_bounds(Family.IPV4, [prefix("10.0.0.0/8", int(NOW) + 10)])))
    assert set(first) == {ElemAttr.KEY}
    assert set(second) == {ElemAttr.KEY, ElemAttr.FLAGS}


def test_many_elements_are_split_into_messages_between_ranges() -> None:
    many = tuple(prefix(f"2001:db8:{n:x}::/48", int(NOW) + 9) for n in range(3000))
    payloads = list(encode_elements(Family.IPV6, many, NOW))
    assert len(payloads) > 3
    assert all(0 < len(payload) <= MESSAGE_LIMIT for payload in payloads)
    assert [
        element
        for payload in payloads
        for element in sorted(decode_elements(Family.IPV6, [payload], NOW) or (), key=lambda e: e.range)
    ] == list(many)
