"""Packets of a capture as frames for the gateway, and what the frames that leave it are.

A frame's source address carries the packet's mark: the gateway's tracer gives it to the packet, and Linux keeps it through
reassembly, forwarding and fragmentation, and gives to its own answers (net.ipv4.fwmark_reflect). So the packet itself stays as
it was captured. But for its hop limit: every packet comes with the same, which tells what was forwarded from what the gateway
said itself.
"""

from __future__ import annotations

import struct
import sys
from enum import Enum

from edged.addresses import Family
from edged.packet.layers import BEYOND_DATA, ICMP, ICMPV6, TCP
from edged.replay.arrival import Arrival

LONGEST = 65535  # bytes of an IP packet: the largest MTU of a veth device (ETH_MAX_MTU)
HEARD = 14 + 60 + 20  # bytes of a frame that `kind_of` looks at: the longest IPv4 header and a TCP header
OWN_HOPS = 64
ETHERTYPES = {Family.IPV4: b"\x08\x00", Family.IPV6: b"\x86\xdd"}

_HOPS = 255
_RST = 0x04
# type and code of "administratively prohibited": RFC 1812 section 5.2.7.1, RFC 4443 section 3.1
_PROHIBITED = {ICMP: (3, 13), ICMPV6: (1, 1)}


class Kind(Enum):
    """What a frame that left the gateway is."""

    FORWARDED = "forwarded"
    REFUSAL = "a TCP reset or an ICMP error that says prohibited, by the gateway itself"
    OTHER = "something else that the gateway said"


def source_of(mark: int) -> bytes:
    """The source address that carries a mark; nft loads it in the machine's byte order."""
    return b"\x02\0" + mark.to_bytes(4, sys.byteorder)


def frame(arrival: Arrival, mark: int, gateway: bytes) -> bytes:
    """The frame to the gateway's address. What was not captured of the packet is zero, so its checksum is then wrong."""
    decoded, data = arrival.decoded, arrival.data
    at = decoded.network
    if not decoded.dropped_by_stack:
        packet = bytearray(data[at : at + decoded.length].ljust(decoded.length, b"\0"))
    else:
        # behind what is too short for its length may be bytes of the layers around it
        packet = bytearray(data[at : at + decoded.length - 1] if decoded.dropped_by_stack == BEYOND_DATA else data[at:])
    if decoded.family is Family.IPV4:
        _raise_ttl(packet)
    else:
        packet[7] = _HOPS
    return gateway + source_of(mark) + ETHERTYPES[decoded.family] + packet


def _raise_ttl(packet: bytearray) -> None:
    """Set the time to live; a header checksum that was right stays so, one that was wrong stays wrong (RFC 1624 equation 3)."""
    before, checksum = struct.unpack_from("!HH", packet, 8)
    after = _HOPS << 8 | before & 0xFF
    total = (~checksum & 0xFFFF) + (~before & 0xFFFF) + after
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!HH", packet, 8, after, ~total & 0xFFFF)


def kind_of(heard: bytes) -> Kind:
    """What the first HEARD bytes of a frame with an IP packet say."""
    if heard[14] >> 4 == 4:
        hops, protocol, transport = heard[22], heard[23], 14 + (heard[14] & 15) * 4
    else:
        hops, protocol, transport = heard[21], heard[20], 54
    if hops == _HOPS - 1:
        return Kind.FORWARDED
    if protocol == TCP and heard[transport + 13 : transport + 14] and heard[transport + 13] & _RST:
        return Kind.REFUSAL
    prohibited = _PROHIBITED.get(protocol) == tuple(heard[transport : transport + 2])
    return Kind.REFUSAL if prohibited else Kind.OTHER
