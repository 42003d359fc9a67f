"""IP packets by hand: UDP, TCP, ICMP of either family, whole and in pieces."""

from __future__ import annotations

import struct

from edged.addresses import Address

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
SYN, RST, ACK = 2, 4, 16


def tcp(
    source: Address, destination: Address, dport: int, *, sport: int = 40000, flags: int = SYN, wrong_sum: bool = False
) -> bytes:
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1000, 0, 0x50, flags, 65535, 0, 0) + bytes(60)
    return wrapped(_summed(segment, 16, TCP, source, destination, flipped=0x5555 * wrong_sum), TCP, source, destination)


def udp(source: Address, destination: Address, dport: int = 9, *, sport: int = 40000, size: int = 60, hops: int = 64) -> bytes:
    message = struct.pack("!HHHH", sport, dport, 8 + size, 0) + bytes(size)
    return wrapped(_summed(message, 6, UDP, source, destination), UDP, source, destination, hops)


def ping(source: Address, destination: Address) -> bytes:
    return _icmp((8, 0) if source.version == 4 else (128, 0), bytes(8), source, destination)


def unreachable(source: Address, lost: bytes, destination: Address) -> bytes:
    """ICMP's word that the packet `lost` found no port open."""
    return _icmp((3, 3) if source.version == 4 else (1, 4), lost[:64], source, destination)


def cut(whole: bytes, *places: int, identification: int = 7) -> list[bytes]:
    """The pieces of a packet without options or extensions, cut at these multiples of 8 bytes."""
    is_ipv4 = whole[0] >> 4 == 4
    head, payload = (whole[:20], whole[20:]) if is_ipv4 else (whole[:40], whole[40:])
    made = []
    for start, end in zip((0, *places), (*places, len(payload)), strict=True):
        part, more = payload[start:end], end < len(payload)
        if is_ipv4:
            word = struct.pack("!HHH", 20 + len(part), identification, more << 13 | start // 8)
            made.append(_ipv4_summed(head[:2] + word + head[8:10] + b"\0\0" + head[12:]) + part)
        else:
            fragment = struct.pack("!BBHI", head[6], 0, start | more, identification)
            made.append(head[:4] + struct.pack("!H", 8 + len(part)) + b"\x2c" + head[7:] + fragment + part)
    return made


def wrapped(payload: bytes, protocol: int, source: Address, destination: Address, hops: int = 64) -> bytes:
    """The payload behind an IP header."""
    ends = source.packed + destination.packed
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + ends + payload
    return _ipv4_summed(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, hops, protocol, 0) + ends) + payload


def _icmp(kind: tuple[int, int], body: bytes, source: Address, destination: Address) -> bytes:
    message = struct.pack("!BBHI", *kind, 0, 0) + body
    if source.version == 6:
        return wrapped(_summed(message, 2, ICMPV6, source, destination), ICMPV6, source, destination)
    return wrapped(message[:2] + _sum_of(message) + message[4:], ICMP, source, destination)


def _ipv4_summed(header: bytes) -> bytes:
    return header[:10] + _sum_of(header) + header[12:]


def _summed(body: bytes, place: int, protocol: int, source: Address, destination: Address, *, flipped: int = 0) -> bytes:
    pseudo = source.packed + destination.packed + struct.pack("!II", len(body), protocol)
    return body[:place] + _sum_of(pseudo + body, flipped) + body[place + 2 :]


def _sum_of(data: bytes, flipped: int = 0) -> bytes:
    """The Internet checksum (RFC 1071), which is a sum modulo 2^16 - 1; never 0, which UDP takes for none."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
    return ((0xFFFF - total) ^ flipped).to_bytes(2, "big")
