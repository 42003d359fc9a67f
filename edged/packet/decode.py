"""The decoder: a frame of any link layer to the IP packet in it. Replay and the live queue read packets here, and nowhere else.

It is total: every sequence of bytes has an answer, and none raises.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from edged.packet.layers import (
    IPV4,
    IPV6,
    MPLS,
    NOTHING_BEFORE,
    PPPOE_SESSION,
    VLAN_TAGS,
    Before,
    Decoded,
    Undecodable,
)
from edged.packet.network import ip, ipv4, ipv6

# Link layers, by the numbers of https://www.tcpdump.org/linktypes.html
BSD_LOOPBACK, ETHERNET, PPP, PPP_HDLC, PPPOE, RAW, OPENBSD_LOOPBACK, COOKED, COOKED_2 = 0, 1, 9, 50, 51, 101, 108, 113, 276
RAW_AS_DLT, RAW_AS_OPENBSD_DLT, RAW_IPV4, RAW_IPV6 = 12, 14, 228, 229

_MOST_TAGS = 8
_MOST_LABELS = 16

_MAC_TYPE = Struct("!QH").unpack_from
_COOKED = Struct("!HHHQH").unpack_from
_COOKED_2 = Struct("!HHIHBBQ").unpack_from
_PPPOE = Struct("!BBHH").unpack_from
_TAG = Struct("!HH").unpack_from
_LABEL = Struct("!I").unpack_from
_new = tuple.__new__

_NAMES = {0x0806: "ARP", 0x8035: "RARP", 0x8809: "LACP", 0x8863: "PPPoE discovery", 0x888E: "EAPOL", 0x88CC: "LLDP"}
_INET, _INET6 = 2, (10, 24, 28, 30)  # AF_INET6 of Linux; NetBSD and OpenBSD; FreeBSD; Darwin
_PPP_IPV4, _PPP_IPV6, _PPP_MPLS = 0x0021, 0x0057, (0x0281, 0x0283)
_MAC = 0xFFFF_FFFF_FFFF


def decode(data: bytes, link: int, on_wire: int = 0) -> Decoded | Undecodable:
    """The outermost IP packet of a frame, which is what a router's rules see.

    `link` is a LINKTYPE number, `on_wire` the frame's length in bytes where less of it was captured.
    """
    size = len(data)
    limit = on_wire if on_wire > size else size
    if link == ETHERNET:
        return ethernet(data, 0, limit)
    reader = _LINKS.get(link)
    return reader(data, 0, limit) if reader else Undecodable(f"link type {link}")


def ethernet(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    """The IP packet of an Ethernet frame that begins there."""
    if len(data) - at < 14:
        return Undecodable("the Ethernet header is cut off")
    mac, ethertype = _MAC_TYPE(data, at + 4)
    before = _new(Before, ((), (), mac & _MAC, None))
    if ethertype == IPV4:
        return ipv4(data, at + 14, limit, before)
    if ethertype == IPV6:
        return ipv6(data, at + 14, limit, before)
    return by_ethertype(data, at + 14, limit, ethertype, before)


def by_ethertype(data: bytes, at: int, limit: int, ethertype: int, before: Before = NOTHING_BEFORE) -> Decoded | Undecodable:
    """The IP packet of what an ethertype announced, behind any VLAN tags."""
    vlans: list[int] = []
    while ethertype in VLAN_TAGS:
        if len(data) - at < 4:
            return Undecodable("the VLAN tag is cut off")
        if len(vlans) == _MOST_TAGS:
            return Undecodable(f"more than {_MOST_TAGS} VLAN tags")
        tag, ethertype = _TAG(data, at)
        vlans.append(tag & 0xFFF)
        at += 4
    if vlans:
        before = Before(tuple(vlans), before.labels, before.source_mac, before.pppoe_session)
    if ethertype == IPV4:
        return ipv4(data, at, limit, before)
    if ethertype == IPV6:
        return ipv6(data, at, limit, before)
    if ethertype == PPPOE_SESSION:
        return _pppoe(data, at, limit, before)
    if ethertype in MPLS:
        return mpls(data, at, limit, before)
    if ethertype < 0x600:
        return Undecodable("an IEEE 802.3 frame with a length in place of a type")
    return Undecodable(_NAMES.get(ethertype) or f"ethertype 0x{ethertype:04x}")


def mpls(data: bytes, at: int, limit: int, before: Before = NOTHING_BEFORE) -> Decoded | Undecodable:
    """The IP packet behind a stack of MPLS labels (RFC 3032)."""
    if before.labels:
        return Undecodable("MPLS in a pseudowire of MPLS")
    labels: list[int] = []
    is_bottom = False
    while not is_bottom:
        if len(data) - at < 4:
            return Undecodable("the MPLS label is cut off")
        if len(labels) == _MOST_LABELS:
            return Undecodable(f"more than {_MOST_LABELS} MPLS labels")
        entry = _LABEL(data, at)[0]
        labels.append(entry >> 12)
        is_bottom = bool(entry & 0x100)
        at += 4
    before = before._replace(labels=tuple(labels))
    # What the labels carry is agreed on out of band; RFC 4928 section 3 keeps 4 and 6 for IP, RFC 4385 section 3 gives 0 to the
    # control word of a pseudowire.
    if len(data) - at >= 18 and data[at] >> 4 == 0:
        mac, ethertype = _MAC_TYPE(data, at + 8)
        return by_ethertype(data, at + 18, limit, ethertype, before._replace(source_mac=mac & _MAC))
    return ip(data, at, limit, before)


def _pppoe(data: bytes, at: int, limit: int, before: Before) -> Decoded | Undecodable:
    """The IP packet of a PPPoE session's frame (RFC 2516 section 4)."""
    if len(data) - at < 6:
        return Undecodable("the PPPoE header is cut off")
    version_type, code, session, length = _PPPOE(data, at)
    if version_type != 0x11 or code:
        return Undecodable("a PPPoE header that is not a session's")
    at += 6
    limit = min(limit, at + length)
    return ppp(data, at, limit, Before(before.vlans, before.labels, before.source_mac, session))


def ppp(data: bytes, at: int, limit: int, before: Before = NOTHING_BEFORE) -> Decoded | Undecodable:
    """The IP packet of a PPP frame, with or without address and control field, its protocol field compressed or not."""
    if data[at : at + 2] == b"\xff\x03":
        at += 2  # RFC 1662 section 3.1
    size = min(limit, len(data)) - at
    if size < 1 or (size < 2 and not data[at] & 1):
        return Undecodable("the PPP protocol field is cut off")
    protocol = data[at]
    at += 1
    if not protocol & 1:  # RFC 1661 section 2: the last byte of the field is the odd one
        protocol = protocol << 8 | data[at]
        at += 1
    if protocol == _PPP_IPV4:
        return ipv4(data, at, limit, before)
    if protocol == _PPP_IPV6:
        return ipv6(data, at, limit, before)
    if protocol in _PPP_MPLS:
        return mpls(data, at, limit, before)
    return Undecodable(f"PPP protocol 0x{protocol:04x}")


def _pppoe_link(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    return _pppoe(data, at, limit, NOTHING_BEFORE)


def _cooked(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    if len(data) - at < 16:
        return Undecodable("the cooked header is cut off")
    _, _, address_length, address, ethertype = _COOKED(data, at)
    before = Before(source_mac=address >> 16) if address_length == 6 else NOTHING_BEFORE
    return by_ethertype(data, at + 16, limit, ethertype, before)


def _cooked_2(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    if len(data) - at < 20:
        return Undecodable("the cooked header is cut off")
    ethertype, _, _, _, _, address_length, address = _COOKED_2(data, at)
    before = Before(source_mac=address >> 16) if address_length == 6 else NOTHING_BEFORE
    return by_ethertype(data, at + 20, limit, ethertype, before)


def _raw_ipv4(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    return ipv4(data, at, limit, NOTHING_BEFORE)


def _raw_ipv6(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    return ipv6(data, at, limit, NOTHING_BEFORE)


def _loopback(data: bytes, at: int, limit: int) -> Decoded | Undecodable:
    """BSD's loopback, whose address family is in the byte order of the machine that captured it."""
    if len(data) - at < 4:
        return Undecodable("the loopback header is cut off")
    family = min(int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at : at + 4], "little"))
    if family == _INET:
        return ipv4(data, at + 4, limit, NOTHING_BEFORE)
    if family in _INET6:
        return ipv6(data, at + 4, limit, NOTHING_BEFORE)
    return Undecodable(f"address family {family}")


_LINKS: dict[int, Callable[[bytes, int, int], Decoded | Undecodable]] = {
    BSD_LOOPBACK: _loopback,
    OPENBSD_LOOPBACK: _loopback,
    PPP: ppp,
    PPP_HDLC: ppp,
    PPPOE: _pppoe_link,
    RAW: ip,
    RAW_AS_DLT: ip,
    RAW_AS_OPENBSD_DLT: ip,
    RAW_IPV4: _raw_ipv4,
    RAW_IPV6: _raw_ipv6,
    COOKED: _cooked,
    COOKED_2: _cooked_2,
}
