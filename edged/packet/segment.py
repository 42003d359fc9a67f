"""A whole TCP or UDP packet, as far as its payload is concerned: of a decoded packet, or, where it is plain, read in one go."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from edged.addresses import Family
from edged.packet.layers import TCP, UDP, Decoded

OVER_IPV6 = 256  # is added to the protocol
TCP_IPV6, UDP_IPV6 = TCP + OVER_IPV6, UDP + OVER_IPV6

_IPV6_FAMILY = Family.IPV6  # looking an enum's member up costs time
# An IP header without options and TCP's up to its flags; of UDP there stand length and checksum in place of the sequence number
_IPV4 = Struct("!BxHxxHxBxxIIHHI4xH")
_IPV6 = Struct("!BxxxHBxQQQQHHI4xH")
_ipv4, _ipv6 = _IPV4.unpack_from, _IPV6.unpack_from
_PIECE = 0x3FFF  # more fragments, and the offset
_SHORTEST = 0x5000  # a TCP header without options
_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long


class Segment(NamedTuple):
    """A TCP segment or a UDP datagram.

    - `kind`: the protocol, to which IPv6 adds OVER_IPV6.
    - `source`, `destination`: addresses as integers.
    - `flags`, `sequence`: of TCP; None for UDP. `flags` are the nine bits from AE down to FIN.
    - `at` <= `end`: where its payload begins and ends in the bytes that it was read from.
    """

    kind: int
    source: int
    destination: int
    source_port: int
    destination_port: int
    flags: int | None
    sequence: int | None
    at: int
    end: int


def segment_of(packet: Decoded) -> Segment | None:
    """What a packet carries; None of a piece, and where it is neither TCP nor UDP or too short to have ports."""
    # fmt: off
    (family, source, destination, protocol, source_port, destination_port, flags, sequence, _, _, _, _, fragment, _, _, _, _, _,
     at, end, _) = packet
    # fmt: on
    if protocol != TCP and protocol != UDP:  # noqa: PLR1714  a membership test takes longer
        return None
    if source_port is None or destination_port is None or (fragment is not None and is_piece(packet)):
        return None
    kind = protocol + OVER_IPV6 if family is _IPV6_FAMILY else protocol
    return _new(Segment, (kind, source, destination, source_port, destination_port, flags, sequence, at, end))


def is_piece(packet: Decoded) -> bool:
    """Whether it is one of several that a packet was cut into."""
    return packet.fragment is not None and (packet.fragment.offset > 0 or packet.fragment.more)


def plain(data: bytes, at: int, end: int) -> Segment | None:
    """The same of a packet that lies between two places, read at once where TCP or UDP follows an IP header without options.

    None where the decoder must be asked: of other packets, and where headers do not fit each other or what came.
    """
    room = end - at
    if room >= _IPV6.size and data[at] >> 4 == 6:
        # fmt: off
        (_, size, protocol, high, source, destination_high, destination, source_port, destination_port, sequence,
         bits) = _ipv6(data, at)
        # fmt: on
        begin, size, kind = at + 40, size + 40, protocol + OVER_IPV6
        source |= high << 64
        destination |= destination_high << 64
    elif room >= _IPV4.size:
        first, size, cut, protocol, source, destination, source_port, destination_port, sequence, bits = _ipv4(data, at)
        if first != 0x45 or cut & _PIECE:
            return None
        begin, kind = at + 20, protocol
    else:
        return None
    stop = at + size
    if stop > end:
        return None
    if protocol == TCP:
        payload = begin + (bits >> 10 & 0x3C)
        if payload > stop or bits < _SHORTEST:
            return None
        return _new(Segment, (kind, source, destination, source_port, destination_port, bits & 0x1FF, sequence, payload, stop))
    if protocol != UDP or sequence >> 16 != stop - begin or stop - begin < 8:
        return None
    return _new(Segment, (kind, source, destination, source_port, destination_port, None, None, begin + 8, stop))
