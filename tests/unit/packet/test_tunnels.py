"""What is taken off, layer by layer, and what is left alone."""

from __future__ import annotations

import struct

import pytest

from edged.packet.layers import Decoded
from edged.packet.tunnels import DEEPEST, Encapsulation, Unwrapped, innermost
from tests.unit.packet.frames import MAC, decoded, ethernet, fragment_header, ipv4, ipv6, tcp, udp

IN4, IN6, GRE, UDP, MPLS = 4, 41, 47, 17, 137
V4, V6 = ipv4(tcp(b"payload", dport=8080)), ipv6(tcp(b"payload", dport=8080))
LABEL = struct.pack("!I", 77 << 12 | 0x100 | 64)


def unwrap(data: bytes, link: int = 101) -> Unwrapped:
    return innermost(decoded(data, link), data)


def names(data: bytes) -> tuple[str, ...]:
    """What was taken off, having seen that the packet inside is the one that was put there."""
    packet, taken_off = unwrap(data)
    assert packet.destination_port == 8080
    assert data[packet.payload : packet.end] == b"payload"
    assert packet.dropped_by_stack == ""
    return tuple(each.value for each in taken_off)


def gre(payload: bytes, protocol: int, flags: int = 0) -> bytes:
    options = sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit) + (4 if flags & 0x81 == 0x81 else 0)
    return struct.pack("!HH", flags, protocol) + b"\xaa" * options + payload


def gtp(payload: bytes, flags: int = 0x30, kind: int = 255, extensions: bytes = b"") -> bytes:
    return udp(struct.pack("!BBHI", flags, kind, len(extensions) + len(payload), 0x1234) + extensions + payload, 2152, 2152)


def vxlan(payload: bytes, flags: int = 8) -> bytes:
    return udp(struct.pack("!B3xI", flags, 99 << 8) + payload, 50000, 4789)


@pytest.mark.parametrize(
    ("data", "taken_off"),
    [
        (V4, ()),
        (V6, ()),
        (ipv4(V4, IN4), ("4in4",)),
        (ipv6(V4, IN4), ("4in6",)),
        (ipv4(V6, IN6), ("6in4",)),
        (ipv6(V6, IN6), ("6in6",)),
        (ipv4(gre(V4, 0x0800), GRE), ("gre",)),
        (ipv6(gre(V6, 0x86DD), GRE), ("gre",)),
        (ipv4(gre(ethernet(V4), 0x6558), GRE), ("gre",)),
        (ipv4(gre(LABEL + V4, 0x8847), GRE), ("gre", "mpls")),
        *((ipv4(gre(V4, 0x0800, flags), GRE), ("gre",)) for flags in (0x8000, 0x2000, 0x1000, 0xA000, 0x9000, 0xB000)),
        (ipv4(gre(b"\xff\x03\0\x21" + V4, 0x880B, 0x3081), GRE), ("gre",)),
        (ipv4(gre(b"\x21" + V4, 0x880B, 0x3001), GRE), ("gre",)),
        (ipv4(LABEL + V6, MPLS), ("mpls",)),
        (ipv4(vxlan(ethernet(V6, 0x86DD)), UDP), ("vxlan",)),
        (ipv4(gtp(V4), UDP), ("gtp-u",)),
        (ipv4(gtp(V6, 0x32, extensions=bytes(4)), UDP), ("gtp-u",)),
        (ipv4(gtp(V4, 0x34, extensions=b"\0\0\0\x85" + b"\1\0\0\x85" + b"\2\0\0\0\0\0\0\0"), UDP), ("gtp-u",)),
        (ipv4(gtp(V4, 0x31, extensions=b"\0\0\0\x85"), UDP), ("gtp-u",)),
        (ipv6(ipv4(vxlan(ethernet(ipv4(gtp(V4), UDP))), UDP), IN4), ("4in6", "vxlan", "gtp-u")),
    ],
)
def test_each_encapsulation_is_taken_off(data: bytes, taken_off: tuple[str, ...]) -> None:
    assert names(data) == taken_off


def test_what_stood_before_the_inner_packet_is_the_inner_packets_own() -> None:
    packet, _ = unwrap(ethernet(ipv4(vxlan(ethernet(b"\0\7\x08\0" + V4, 0x8100)), UDP)), 1)
    assert (packet.before.vlans, packet.before.source_mac) == ((7,), MAC)
    assert unwrap(ethernet(ipv4(V4, IN4)), 1).packet.before.source_mac is None
    assert unwrap(ipv4(gre(LABEL + V4, 0x8847), GRE)).packet.before.labels == (77,)


@pytest.mark.parametrize(
    "data",
    [
        ipv4(b"", IN4),
        ipv4(V6, IN4),
        ipv4(V4[:19], IN4),
        ipv4(V4, IN6),
        ipv4(gre(V4, 0x0800, 0x4000), GRE),
        ipv4(gre(V4, 0x0800, 0x0002), GRE),
        ipv4(gre(V4, 0x0800, 0x2001), GRE),
        ipv4(gre(V4, 0xABCD), GRE),
        ipv4(b"\0\0\x08", GRE),
        ipv4(gtp(V4, kind=1), UDP),
        ipv4(gtp(V4, 0x50), UDP),
        ipv4(gtp(V4, 0x20), UDP),
        ipv4(gtp(V4, 0x34, extensions=b"\0\0\0\x85" + bytes(4)), UDP),
        ipv4(gtp(b"", 0x34, extensions=b"\0\0\0\x85\x09\0\0\0"), UDP),
        ipv4(gtp(b"", 0x32, extensions=b"\0\0"), UDP),
        ipv4(udp(b"\x30\xff\0\0", 2152, 2152), UDP),
        ipv4(vxlan(ethernet(V4), 0), UDP),
        ipv4(udp(b"\x08", 1, 4789), UDP),
        ipv4(udp(V4, 2152, 53), UDP),
    ],
)
def test_what_holds_no_readable_packet_is_no_tunnel(data: bytes) -> None:
    outer = decoded(data)
    assert innermost(outer, data) == (outer, ())


def test_pieces_of_a_packet_are_not_looked_into() -> None:
    for data in (
        ipv4(V4, IN4, cut=0x2000),
        ipv4(V4, IN4, cut=5),
        ipv6(fragment_header(IN4, 0, more=True) + V4, 44),
        ipv6(fragment_header(IN4, 8, more=False) + V4, 44),
    ):
        assert unwrap(data).taken_off == ()
    assert names(ipv6(fragment_header(IN4, 0, more=False) + V4, 44)) == ("4in6",)


def test_the_outer_packet_bounds_the_inner_one() -> None:
    data = ipv4(V4, IN4, length=20 + len(V4) - 1)
    assert unwrap(data).packet.dropped_by_stack == "the length in the header is more than arrived"
    short = gtp(V4)
    short = short[:10] + struct.pack("!H", len(V4) - 1) + short[12:]
    assert unwrap(ipv4(short, UDP)).packet.dropped_by_stack == "the length in the header is more than arrived"


def test_a_snapped_tunnel_is_taken_off() -> None:
    whole = ipv6(ipv4(tcp(bytes(100), dport=8080)), IN4)
    snapped = whole[:90]
    packet, taken_off = innermost(decoded(snapped, on_wire=len(whole)), snapped)
    assert taken_off == (Encapsulation.IPV4_IN_IPV6,)
    assert (packet.destination_port, packet.dropped_by_stack, packet.end) == (8080, "", 90)


def test_tunnels_in_tunnels_are_taken_off_to_a_bound() -> None:
    data = V4
    for _ in range(DEEPEST):
        data = ipv4(data, IN4)
    assert names(data) == ("4in4",) * DEEPEST
    packet, taken_off = unwrap(ipv4(data, IN4))
    assert len(taken_off) == DEEPEST
    assert isinstance(packet, Decoded)
    assert packet.protocol == IN4
