"""Which packets a Linux router forwards to nobody, whatever its rules say.

By addresses alone, as they reach a router that has none of them itself. Not looked at: the hop limit, of which a capture from
behind the gateway may show the last; IPv4 options; and whether a neighbour answers.

Sources: net/ipv4/route.c, ip_route_input_slow (RFC 1122 section 3.2.1.3; of its 0.0.0.0/8 Linux has forwarded all but 0.0.0.0
since 5.3); net/ipv6/ip6_output.c, ip6_forward, and net/ipv6/ip6_input.c, ip6_rcv_core (RFC 4291 section 2.5, by which
link-local addresses stay on their link).
"""

from __future__ import annotations

from edged.addresses import Family
from edged.packet.layers import Decoded

_LIMITED_BROADCAST = 0xFFFFFFFF
_LINK_LOCAL = 0xFE80 >> 6
_LOOPBACK = 1


def not_forwarded(decoded: Decoded) -> str:
    """Why a Linux router forwards no such packet; empty where it does."""
    if decoded.dropped_by_stack:
        return decoded.dropped_by_stack
    if decoded.family is Family.IPV4:
        return _ipv4(decoded.source, decoded.destination)
    return _ipv6(decoded.source, decoded.destination)


def _ipv4(source: int, destination: int) -> str:
    if source >> 28 == 0xE:
        return "the source is a multicast group"
    if source == _LIMITED_BROADCAST:
        return "the source is the limited broadcast address"
    if not source:
        return "the source is 0.0.0.0, which only a host uses that has no address yet"
    if source >> 24 == 127:
        return "the source is a loopback address"
    if destination >> 28 == 0xE:
        return "the destination is a multicast group"
    if destination == _LIMITED_BROADCAST:
        return "the destination is the limited broadcast address"
    if not destination:
        return "the destination is 0.0.0.0"
    if destination >> 24 == 127:
        return "the destination is a loopback address"
    return ""


def _ipv6(source: int, destination: int) -> str:
    if source >> 120 == 0xFF:
        return "the source is a multicast group"
    if not source:
        return "the source is the unspecified address"
    if source == _LOOPBACK:
        return "the source is the loopback address"
    if source >> 118 == _LINK_LOCAL:
        return "the source is a link-local address"
    if destination >> 120 == 0xFF:
        return "the destination is a multicast group"
    if destination == _LOOPBACK:
        return "the destination is the loopback address"
    if destination >> 118 == _LINK_LOCAL:
        return "the destination is a link-local address"
    return ""
