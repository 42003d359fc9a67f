"""A piece of a cut packet out of its frame, and the whole packet out of its pieces; both as Linux does it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from edged.addresses import Family
from edged.packet.extensions import EXTENSIONS, find_fragment_header
from edged.packet.layers import AH, FRAGMENT, ICMPV6, NO_NEXT, TCP, UDP, Decoded, Fragment
from edged.packet.pieces import Pieces

_NEEDED = {TCP: 20, UDP: 8, ICMPV6: 8}  # of the upper header, in the first piece (ipv6frag_thdr_truncated)

Key = tuple[int, int, int, int | None]


class NoPiece(Enum):
    """A packet with a fragment header that Linux does not put together, and what it does with it."""

    LET_BY = "let by"
    CUT_OFF = "dropped: the fragment header is cut off"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece: the headers in front of what was cut (of the first piece alone), and its part of that."""

    key: Key
    family: Family
    head: bytes
    part: bytes
    offset: int
    more: bool
    ecn: int


def ipv4_piece(packet: Decoded, fragment: Fragment, data: bytes) -> Piece:
    """The piece that a decoded fragment of IPv4 is, whose bytes are all there."""
    network, end = packet.network, packet.network + packet.length
    return Piece(
        key=(packet.source, packet.destination, fragment.identification, packet.protocol),
        family=Family.IPV4,
        head=b"" if fragment.offset else data[network : packet.transport],
        part=data[packet.transport : end],
        offset=fragment.offset,
        more=fragment.more,
        ecn=data[network + 1] & 3,
    )


def ipv6_piece(packet: Decoded, data: bytes) -> Piece | NoPiece:
    """The piece that a decoded IPv6 packet with a fragment header is, whose bytes are all there."""
    network, end = packet.network, packet.network + packet.length
    if data[network + 4 : network + 6] == b"\0\0":
        return NoPiece.LET_BY  # a jumbo payload cannot be a piece (RFC 2675 section 3)
    found = find_fragment_header(data, network + 40, end, data[network + 6])
    if found is None:
        return NoPiece.LET_BY
    at, named = found
    if at + 8 > end:
        return NoPiece.CUT_OFF
    if _ends_within_upper_header(data, at, end):
        return NoPiece.LET_BY  # RFC 8200 section 4.5 would have it discarded
    word, identification = struct.unpack_from("!HI", data, at + 2)
    head = data[network:named] + data[at : at + 1] + data[named + 1 : at]
    return Piece(
        key=(packet.source, packet.destination, identification, None),
        family=Family.IPV6,
        head=b"" if word & ~7 else head,
        part=data[at + 8 : end],
        offset=word & ~7,
        more=bool(word & 1),
        ecn=data[network + 1] >> 4 & 3,
    )


def _ends_within_upper_header(data: bytes, at: int, end: int) -> bool:
    """Whether a first piece has its extension headers whole and its upper header not; `at` is the fragment header's place."""
    protocol = FRAGMENT
    while protocol in EXTENSIONS:
        if end - at < (4 if protocol == FRAGMENT else 2):
            return False
        header = (data[at + 1] + 2) * 4 if protocol == AH else (data[at + 1] + 1) * 8
        if protocol == FRAGMENT:
            header = 8
            if data[at + 2] or data[at + 3] & ~7:
                return False
        protocol = data[at]
        at += header
    return protocol != NO_NEXT and at + _NEEDED.get(protocol, 1) > end


def ipv4_whole(pieces: Pieces) -> bytes:
    """The packet under the first piece's header, as no piece: the two bytes of flags and offset are nothing."""
    made = bytearray(pieces.head)
    made[1] |= pieces.ecn_bits
    made[2:4] = (len(made) + pieces.length).to_bytes(2, "big")
    made[6:8] = made[10:12] = b"\0\0"
    made[10:12] = (0xFFFF - int.from_bytes(made, "big") % 0xFFFF).to_bytes(2, "big")
    return bytes(made) + pieces.joined()


def ipv6_whole(pieces: Pieces) -> bytes:
    """The packet under the headers of the first piece, without the fragment header."""
    made = bytearray(pieces.head)
    made[1] |= pieces.ecn_bits << 4
    made[4:6] = (len(made) - 40 + pieces.length).to_bytes(2, "big")
    return bytes(made) + pieces.joined()
