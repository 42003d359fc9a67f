"""The extension headers of IPv6, as Linux walks them (net/ipv6/exthdrs_core.c, ipv6_find_hdr, asked the way nft asks it)."""

from __future__ import annotations

from edged.packet.layers import AH, BAD_HOP_BY_HOP, BEYOND_DATA, DESTINATION, FRAGMENT, HOP_BY_HOP, NO_NEXT, ROUTING, Fragment

# ipv6_ext_hdr: mobility, HIP and shim6 are protocols to Linux; and with NO_NEXT its walk ends
EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION))

_PAD_1, _PAD_N, _ROUTER_ALERT, _CALIPSO, _IOAM, _JUMBO = 0, 1, 5, 7, 0x31, 0xC2
_MOST_OPTIONS = 8  # net.ipv6.max_hbh_opts_number
_MOST_PADDING = 7
_LARGEST_PAYLOAD = 0xFFFF

Walked = tuple[int | None, int, Fragment | None, bool]


def walk(data: bytes, at: int, end: int, protocol: int) -> Walked:
    """The protocol that nft sees, its place, the first fragment header, and whether what is there is no transport header.

    The protocol is None where the chain breaks off, or a later fragment begins with an extension header.
    """
    fragment: Fragment | None = None
    while protocol in EXTENSIONS:
        if protocol == FRAGMENT:
            fragment = fragment or _fragment(data, at, end)
        if end - at < (4 if protocol in (ROUTING, FRAGMENT) else 2):
            return None, min(at, end), fragment, True
        following, header = data[at], (data[at + 1] + 1) * 8
        if protocol == AH:
            return AH, at, fragment or _behind(data, at, end), True
        if protocol == FRAGMENT:
            offset, header = int.from_bytes(data[at + 2 : at + 4], "big"), 8
            if offset & ~7:
                is_header = following in EXTENSIONS
                return None if is_header else following, min(at + 8, end), fragment, True
        protocol = following
        at += header
    return protocol, min(at, end), fragment, at > end or protocol == NO_NEXT


def find_fragment_header(data: bytes, at: int, end: int, protocol: int) -> tuple[int, int] | None:
    """The places of the first fragment header and of the byte that names it (net/ipv6/netfilter/nf_conntrack_reasm.c).

    `at` is the place of the first extension header, which the byte `at - 34` names. None where there is none;
    one that is there may be cut off.
    """
    named = at - 34  # the next header field, at byte 6 of the 40 of RFC 8200 section 3
    while protocol != FRAGMENT:
        if protocol not in EXTENSIONS or end - at < 2:
            return None
        named, header = at, (data[at + 1] + 2) * 4 if protocol == AH else (data[at + 1] + 1) * 8
        protocol = data[at]
        at += header
    return (at, named) if at <= end else None


def _behind(data: bytes, at: int, end: int) -> Fragment | None:
    found = find_fragment_header(data, at, end, AH)
    return _fragment(data, found[0], end) if found else None


def _fragment(data: bytes, at: int, end: int) -> Fragment:
    """The fragment header there; what is cut off of it is nothing."""
    word = int.from_bytes(data[at + 2 : min(at + 8, end)].ljust(6, b"\0"), "big")
    return Fragment(word & 0xFFFFFFFF, word >> 32 & 0xFFF8, bool(word >> 32 & 1))


def hop_by_hop(data: bytes, at: int, payload: int, limit: int) -> tuple[int, str]:
    """The packet's length, which a jumbo payload's option may tell, and why its hop-by-hop header is refused, if it is.

    `at` is the place of the IPv6 header, `payload` its payload length; without one Linux takes all that arrived.
    """
    length = payload + 40 if payload else limit - at
    end = min(at + length, limit)
    place, stop = at + 42, at + 48
    if stop <= min(end, len(data)):
        stop = at + 40 + (data[at + 41] + 1) * 8
    if stop > end:
        return length, BAD_HOP_BY_HOP
    if stop > len(data):
        return length, ""  # snapped: nobody can tell any more
    options = padding = 0
    while place < stop:
        kind = data[place]
        size = 1 if kind == _PAD_1 else data[place + 1] + 2 if stop - place >= 2 else stop
        if place + size > stop:
            return length, BAD_HOP_BY_HOP
        if kind in (_PAD_1, _PAD_N):
            padding += size
            if padding > _MOST_PADDING or any(data[place + 2 : place + size]):
                return length, BAD_HOP_BY_HOP
        else:
            options, padding = options + 1, 0
            if kind == _JUMBO:
                length = 40 + int.from_bytes(data[place + 2 : place + 6], "big")
                if size != 6 or (place - at) & 3 != 2 or length - 40 <= _LARGEST_PAYLOAD or payload:
                    return (payload or limit - at - 40) + 40, BAD_HOP_BY_HOP
                if at + length > limit:
                    return length, BEYOND_DATA
            elif _is_refused(kind, size, place - at):
                return length, BAD_HOP_BY_HOP
            if options > _MOST_OPTIONS:
                return length, BAD_HOP_BY_HOP
        place += size
    return length, ""


def _is_refused(kind: int, size: int, offset: int) -> bool:
    """Whether Linux drops a packet for this hop-by-hop option, not the jumbo payload's, `offset` bytes into the packet."""
    if kind == _ROUTER_ALERT:
        return size != 4
    if kind == _CALIPSO:
        return True  # net/ipv6/calipso.c knows no domain of interpretation, unless one was configured with netlabelctl
    if kind == _IOAM:
        return bool(offset & 3)
    return bool(kind & 0xC0)  # RFC 8200 section 4.2
