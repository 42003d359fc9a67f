"""What an access network wraps packets in, taken off: the packet of the subscriber, which is what classification looks at.

The rules of a gateway never see this packet: nothing here bears on a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from edged.addresses import Family
from edged.packet.decode import by_ethertype, ethernet, mpls, ppp
from edged.packet.layers import (
    GRE,
    IPV4_INSIDE,
    IPV6_INSIDE,
    MPLS,
    MPLS_INSIDE,
    NOTHING_BEFORE,
    PPP,
    TRANSPARENT_ETHERNET,
    UDP,
    UNREADABLE_HEADERS,
    Decoded,
    Undecodable,
)
from edged.packet.network import ip, ipv4, ipv6

DEEPEST = 8

_GTP_U, _VXLAN = 2152, 4789
_G_PDU = 255
TUNNEL_PORTS = frozenset((_GTP_U, _VXLAN))  # a UDP packet with none of them is no tunnel's


class Encapsulation(Enum):
    """What was taken off."""

    IPV4_IN_IPV4 = "4in4"
    IPV4_IN_IPV6 = "4in6"
    IPV6_IN_IPV4 = "6in4"
    IPV6_IN_IPV6 = "6in6"
    GRE = "gre"
    GTP_U = "gtp-u"
    VXLAN = "vxlan"
    MPLS = "mpls"


class Unwrapped(NamedTuple):
    """The innermost packet that could be read, its places being those in the same frame, and what was around it."""

    packet: Decoded
    taken_off: tuple[Encapsulation, ...]


_Inner = tuple[Decoded | Undecodable, tuple[Encapsulation, ...]]
_Opener = Callable[[Decoded, bytes, int], _Inner | None]


def innermost(packet: Decoded, data: bytes) -> Unwrapped:
    """The packet inside all tunnels of `packet`, which `data` was decoded to; once DEEPEST layers are off, it is left as it is.

    A piece of a fragmented packet is not looked into, and what does not hold a readable IP packet is taken for no tunnel.
    """
    taken_off: tuple[Encapsulation, ...] = ()
    while len(taken_off) < DEEPEST:
        opener = _OPENERS.get(packet.protocol)
        if opener is None or (packet.fragment is not None and (packet.fragment.offset or packet.fragment.more)):
            break
        opened = opener(packet, data, packet.network + packet.length)
        if opened is None:
            break
        inner, layers = opened
        if isinstance(inner, Undecodable) or inner.dropped_by_stack in UNREADABLE_HEADERS:
            break
        packet, taken_off = inner, taken_off + layers
    return Unwrapped(packet, taken_off)


def _ipv4_inside(packet: Decoded, data: bytes, limit: int) -> _Inner:
    around = Encapsulation.IPV4_IN_IPV4 if packet.family is Family.IPV4 else Encapsulation.IPV4_IN_IPV6
    return ipv4(data, packet.transport, limit, NOTHING_BEFORE), (around,)


def _ipv6_inside(packet: Decoded, data: bytes, limit: int) -> _Inner:
    around = Encapsulation.IPV6_IN_IPV4 if packet.family is Family.IPV4 else Encapsulation.IPV6_IN_IPV6
    return ipv6(data, packet.transport, limit, NOTHING_BEFORE), (around,)


def _mpls_inside(packet: Decoded, data: bytes, limit: int) -> _Inner:
    return mpls(data, packet.transport, limit), (Encapsulation.MPLS,)


def _gre(packet: Decoded, data: bytes, limit: int) -> _Inner | None:
    """GRE of RFC 2784 and RFC 2890, and version 1, which is PPTP's (RFC 2637 section 4.1)."""
    at = packet.transport
    if packet.end - at < 4:
        return None
    flags, protocol = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
    version = flags & 7
    if flags & 0x4000 or version > 1:  # RFC 1701's routing, which RFC 2784 section 2.3 lets a receiver discard
        return None
    at += 4 + 4 * (bool(flags & 0x8000) + bool(flags & 0x2000) + bool(flags & 0x1000))
    if version == 1:
        at += 4 * bool(flags & 0x0080)
        return (ppp(data, at, limit), (Encapsulation.GRE,)) if protocol == PPP else None
    if protocol == TRANSPARENT_ETHERNET:
        return ethernet(data, at, limit), (Encapsulation.GRE,)
    layers = (Encapsulation.GRE, Encapsulation.MPLS) if protocol in MPLS else (Encapsulation.GRE,)
    return by_ethertype(data, at, limit, protocol), layers


def _udp(packet: Decoded, data: bytes, limit: int) -> _Inner | None:
    if packet.destination_port == _VXLAN:
        return _vxlan(packet, data, limit)
    if _GTP_U in (packet.destination_port, packet.source_port):
        return _gtp_u(packet, data, limit)
    return None


def _vxlan(packet: Decoded, data: bytes, limit: int) -> _Inner | None:
    """RFC 7348 section 5."""
    at = packet.payload
    if packet.end - at < 8 or not data[at] & 0x08:
        return None
    return ethernet(data, at + 8, limit), (Encapsulation.VXLAN,)


def _gtp_u(packet: Decoded, data: bytes, limit: int) -> _Inner | None:
    """A G-PDU of 3GPP TS 29.281, section 5."""
    at, end = packet.payload, packet.end
    if end - at < 8:
        return None
    flags = data[at]
    if flags >> 4 != 3 or data[at + 1] != _G_PDU:  # version 1, and GTP rather than GTP'
        return None
    limit = min(limit, at + 8 + int.from_bytes(data[at + 2 : at + 4], "big"))
    at += 8
    if flags & 7:
        if end - at < 4:
            return None
        following = data[at + 3] if flags & 4 else 0
        at += 4
        while following:
            size = data[at] * 4 if at < end else 0
            if not size or at + size > end:
                return None
            following = data[at + size - 1]
            at += size
    return ip(data, at, limit), (Encapsulation.GTP_U,)


_OPENERS: dict[int | None, _Opener] = {
    IPV4_INSIDE: _ipv4_inside,
    IPV6_INSIDE: _ipv6_inside,
    MPLS_INSIDE: _mpls_inside,
    GRE: _gre,
    UDP: _udp,
}
