"""A connection out of whatever a kernel sends."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Address, Family
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be16, be32, be64, nest, u8
from edged.kernel.conntrack import key_of
from edged.kernel.flowmessages import decode
from edged.kernel.messages import Reply
from edged.tracked import End, Tracked, Volume

INSIDE, OUTSIDE, FAR = (ip_address(each) for each in ("100.64.0.7", "203.0.113.9", "198.51.100.1"))
INSIDE6, FAR6 = (ip_address(each) for each in ("2001:db8:d::7", "2001:db8:f::1"))
ICMP, TCP = 1, 6
NFPROTO = {4: uapi.NFPROTO_IPV4, 6: uapi.NFPROTO_IPV6}


def ends(kind: int, source: Address, destination: Address, *protocol: bytes) -> bytes:
    """CTA_TUPLE_*."""
    first = 1 if source.version == 4 else 3  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
    addresses = nest(1, attribute(first, source.packed), attribute(first + 1, destination.packed))
    return nest(kind, addresses, nest(2, *protocol))


def tcp(source: int, destination: int) -> tuple[bytes, ...]:
    """CTA_PROTO_*."""
    return u8(1, TCP), be16(2, source), be16(3, destination)


def counters(kind: int, packets: int, octets: int, *before: bytes) -> bytes:
    return nest(kind, *before, be64(1, packets), be64(2, octets))


def message(body: bytes, version: int = 4) -> Reply:
    return Reply(0x100, 0, 1, bytes((NFPROTO[version], 0, 0, 0)) + body)


BEHIND_NAT = ends(1, INSIDE, FAR, *tcp(40_000, 443)) + ends(2, FAR, OUTSIDE, *tcp(443, 1_027))
COUNTED = counters(9, 10, 1 << 40) + counters(10, 20, 3_000)
REST = be32(3, 14) + be32(7, 300) + be32(8, 0x5A040000) + be32(12, 0xFEDCBA98) + be32(11, 1)
FLOW = Tracked(
    Family.IPV4,
    TCP,
    End(int(INSIDE), 40_000),
    End(int(FAR), 443),
    0x5A040000,
    Volume(10, 1 << 40),
    Volume(20, 3_000),
    0xFEDCBA98,
    ends(1, INSIDE, FAR, *tcp(40_000, 443)),
)


def test_the_ends_are_those_behind_nat() -> None:
    assert decode(message(BEHIND_NAT + COUNTED + REST)) == FLOW
    forwarded = ends(1, FAR, OUTSIDE, *tcp(50_000, 8_080)) + ends(2, INSIDE, FAR, *tcp(80, 50_000))
    found = decode(message(forwarded))
    assert found is not None
    assert (found.originator, found.responder) == (End(int(FAR), 50_000), End(int(INSIDE), 80))


def test_both_families() -> None:
    body = ends(1, INSIDE6, FAR6, *tcp(40_000, 443)) + ends(2, FAR6, INSIDE6, *tcp(443, 40_000))
    found = decode(message(body + COUNTED, 6))
    assert found is not None
    assert (found.family, found.originator, found.responder) == (Family.IPV6, End(int(INSIDE6), 40_000), End(int(FAR6), 443))


def test_a_protocol_without_ports() -> None:
    echo = u8(1, ICMP), be16(4, 77), u8(5, 8), u8(6, 0)  # CTA_PROTO_NUM, CTA_PROTO_ICMP_ID, _TYPE, _CODE
    found = decode(message(ends(1, INSIDE, FAR, *echo) + ends(2, FAR, INSIDE, *echo)))
    assert found is not None
    assert (found.protocol, found.originator, found.responder) == (ICMP, End(int(INSIDE), 0), End(int(FAR), 0))


def test_what_conntrack_does_not_count_has_moved_nothing() -> None:
    assert decode(message(BEHIND_NAT + REST)) == FLOW._replace(original=Volume(0, 0), reply=Volume(0, 0))


def test_counters_are_found_behind_padding() -> None:
    """Where 64 bits must be aligned, CTA_COUNTERS_PAD comes before them (nla_put_be64)."""
    padded = counters(9, 10, 1 << 40, attribute(3, b"")) + counters(10, 20, 3_000, attribute(3, b""))
    assert decode(message(BEHIND_NAT + padded + REST)) == FLOW


def test_a_zone_is_part_of_what_a_connection_is_found_by() -> None:
    assert key_of(message(BEHIND_NAT + be16(18, 3)).attributes) == FLOW.key + be16(18, 3)


@pytest.mark.parametrize("version", [4, 6])
def test_ends_of_another_family_are_not_read(version: int) -> None:
    other = ends(1, INSIDE6, FAR6, *tcp(1, 2)) + ends(2, FAR6, INSIDE6, *tcp(2, 1))
    assert decode(message(BEHIND_NAT if version == 6 else other, version)) is None


def test_what_lacks_an_end_is_no_connection() -> None:
    for body in (b"", REST, ends(1, INSIDE, FAR, *tcp(1, 2)), ends(2, FAR, INSIDE, *tcp(2, 1)), nest(1) + nest(2)):
        assert decode(message(body)) is None
    assert decode(Reply(0x100, 0, 1, b"")) is None
    assert decode(Reply(0x100, 0, 1, bytes((7, 0, 0, 0)) + BEHIND_NAT)) is None, "a bridge's"


@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 0xFFFF), st.integers(0, 300))
def test_nothing_raises(garbage: bytes, cut: int, length: int, at: int) -> None:
    whole = BEHIND_NAT + COUNTED + REST
    lying = whole[:at] + struct.pack("=H", length) + whole[at + 2 :]
    for body in (garbage, whole[:cut], lying, nest(1, garbage) + nest(2, garbage), nest(1, nest(1, garbage)) * 2):
        found = decode(message(body))
        assert found is None or found.family is Family.IPV4
