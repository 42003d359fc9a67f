"""IP headers and what follows them, as Linux reads them before its forward hook.

Every function takes the frame's bytes, the place of the header and `limit`, the place where the frame or what surrounds the
packet ended on the wire: a capture may hold less than that.
"""

from __future__ import annotations

from struct import Struct

from edged.addresses import Family
from edged.packet import layers
from edged.packet.extensions import EXTENSIONS, hop_by_hop, walk
from edged.packet.layers import (
    DCCP,
    ICMP,
    ICMPV6,
    NOTHING_BEFORE,
    SCTP,
    TCP,
    UDP,
    UDP_LITE,
    Before,
    Decoded,
    Fragment,
    Undecodable,
)

_IPV4_FAMILY, _IPV6_FAMILY = Family.IPV4, Family.IPV6  # looking an enum's member up costs time
_IPV4 = Struct("!HHHHHHII").unpack_from
_IPV6 = Struct("!IHHQQQQ").unpack_from
_TCP = Struct("!HHIIHH").unpack_from
_UDP = Struct("!HHH").unpack_from
_PORTS = Struct("!HH").unpack_from

_OTHER_PORTS = {SCTP: 12, UDP_LITE: 8, DCCP: 12}  # bytes of the header: RFC 9260, RFC 3828, RFC 4340 (the short form)
_MULTICAST = 0xFF << 120
_LOOPBACK = 1
_MORE, _OFFSET = 0x2000, 0x1FFF
_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long


def ip(data: bytes, at: int, limit: int, before: Before = NOTHING_BEFORE) -> Decoded | Undecodable:
    """The packet by its version field alone."""
    if at >= len(data):
        return Undecodable("nothing follows the link layer")
    version = data[at] >> 4
    if version == 4:
        return ipv4(data, at, limit, before)
    if version == 6:
        return ipv6(data, at, limit, before)
    return Undecodable(f"IP version {version}")


def ipv4(data: bytes, at: int, limit: int, before: Before) -> Decoded | Undecodable:
    """The packet of an IPv4 header."""
    size = len(data)
    size = limit if size > limit else size
    if size - at < 20:
        return Undecodable("the IPv4 header is cut off")
    words = _IPV4(data, at)
    word, length, identification, cut, hops_protocol, _, source, destination = words
    dropped, header, opaque = "", 20, False
    # The sum of RFC 1071 is a sum modulo 2^16 - 1, in which an address is the sum of its halves.
    total = sum(words)
    if word >> 8 != 0x45:
        header = word >> 6 & 0x3C
        opaque = word >> 12 != 4 or header < 20
        if word >> 12 != 4:
            dropped = layers.BAD_VERSION
        elif header < 20 or limit - at < header:
            dropped = layers.BAD_HEADER_LENGTH
        elif size - at >= header:
            total += int.from_bytes(data[at + 20 : at + header], "big")
        else:
            total = 0  # a snapped header's sum cannot be known
    if not dropped:
        if total % 0xFFFF:
            dropped = layers.BAD_CHECKSUM
        elif at + length > limit:
            dropped = layers.BEYOND_DATA
        elif length < header:
            dropped = layers.WITHIN_HEADER
    fragment = None
    if cut & 0x3FFF:
        fragment = _new(Fragment, (identification, (cut & _OFFSET) << 3, bool(cut & _MORE)))
        opaque = opaque or cut & _OFFSET != 0
    end = at + length
    end = size if end > size else end
    transport = at + header
    if transport > end:
        transport = end = min(transport, size)
    # fmt: off
    return _packet(
        data, _IPV4_FAMILY, source, destination, hops_protocol & 0xFF, opaque, fragment, hops_protocol >> 8, length, dropped,
        at, transport, end, before,
    )
    # fmt: on


def ipv6(data: bytes, at: int, limit: int, before: Before) -> Decoded | Undecodable:
    """The packet of an IPv6 header."""
    size = len(data)
    size = limit if size > limit else size
    if size - at < 40:
        return Undecodable("the IPv6 header is cut off")
    word, payload, next_hops, source, low, destination, destination_low = _IPV6(data, at)
    source = source << 64 | low
    destination = destination << 64 | destination_low
    protocol: int | None = next_hops >> 8
    length = payload + 40
    dropped, transport, fragment, opaque = "", at + 40, None, False
    if word >> 28 != 6:
        dropped, opaque = layers.BAD_VERSION, True
    elif source >= _MULTICAST or destination >= _MULTICAST or _LOOPBACK in (source, destination):
        dropped = _refused_addresses(source, destination)
    if not protocol and not opaque:
        length, refused = hop_by_hop(data, at, payload, limit)
        dropped = dropped or refused
    if not dropped and at + length > limit:
        dropped = layers.BEYOND_DATA
    end = at + length
    end = size if end > size else end
    if protocol in EXTENSIONS and not opaque:
        protocol, transport, fragment, opaque = walk(data, transport, end, protocol)
    # fmt: off
    return _packet(
        data, _IPV6_FAMILY, source, destination, protocol, opaque, fragment, next_hops & 0xFF, length, dropped,
        at, transport, end, before,
    )
    # fmt: on


def _refused_addresses(source: int, destination: int) -> str:
    """Whether ip6_rcv_core drops these: sources that are groups, groups of no or of interface scope, loopback off its device."""
    narrow = destination >= _MULTICAST and destination >> 112 & 0xF < 2  # RFC 4291 section 2.7
    if source >= _MULTICAST or narrow or _LOOPBACK in (source, destination):
        return layers.BAD_ADDRESS
    return ""


def _packet(
    data: bytes,
    family: Family,
    source: int,
    destination: int,
    protocol: int | None,
    opaque: bool,  # noqa: FBT001 - a keyword argument costs time here
    fragment: Fragment | None,
    hops: int,
    length: int,
    dropped: str,
    network: int,
    transport: int,
    end: int,
    before: Before,
) -> Decoded:
    """The whole answer: the transport header, unless it is `opaque` (a later fragment, or nobody knows where it would be)."""
    sport = dport = flags = sequence = acknowledgement = window = kind = code = None
    payload = transport
    if opaque:
        pass
    elif protocol == TCP and end - transport >= 20:
        sport, dport, sequence, acknowledgement, word, window = _TCP(data, transport)
        flags = word & 0x1FF
        payload += word >> 10 & 0x3C
        if payload > end or word < 0x5000:
            payload = end
    elif protocol == UDP and end - transport >= 8:
        sport, dport, covered = _UDP(data, transport)
        payload += 8
        if 8 <= covered < end - transport:
            end = transport + covered  # what is behind is UDP's surplus area (RFC 9868 section 5)
    elif protocol is not None:
        sport, dport, kind, code, payload = _other(data, family, protocol, transport, end)
    # fmt: off
    return _new(Decoded, (
        family, source, destination, protocol, sport, dport, flags, sequence, acknowledgement, window, kind, code, fragment, hops,
        length, dropped, network, transport, payload, end, before,
    ))
    # fmt: on


_Other = tuple[int | None, int | None, int | None, int | None, int]


def _other(data: bytes, family: Family, protocol: int, transport: int, end: int) -> _Other:
    """Source and destination port, ICMP type and code, and the place of the payload."""
    room = end - transport
    if protocol in (TCP, UDP) or protocol in _OTHER_PORTS:
        if room < 4:
            return int.from_bytes(data[transport : transport + 2], "big") if room >= 2 else None, None, None, None, end
        sport, dport = _PORTS(data, transport)
        header = _OTHER_PORTS.get(protocol, room)
        if protocol == DCCP and room > 4:
            header = data[transport + 4] * 4 or room
        return sport, dport, None, None, min(transport + header, end)
    if protocol == (ICMP if family is _IPV4_FAMILY else ICMPV6):
        if room < 2:
            return None, None, None, None, end
        return None, None, data[transport], data[transport + 1], min(transport + 8, end)
    return None, None, None, None, transport
