"""Frames written by hand, byte for byte, for tests of the decoder."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded, Undecodable

SOURCE, DESTINATION = "192.0.2.1", "198.51.100.2"
SOURCE6, DESTINATION6 = "2001:db8::1", "2001:db8:ffff::2"
MAC = 0x02AABBCCDDEE
TCP, UDP = 6, 17
FIRST_FLAGS = 0x018  # PSH and ACK


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(payload: bytes = b"", sport: int = 1025, dport: int = 25, words: int = 5, flags: int = FIRST_FLAGS) -> bytes:
    head = struct.pack("!HHIIHHHH", sport, dport, 0xFFFFFFFE, 7, words << 12 | flags, 512, 0, 0)
    return head + bytes(max(words - 5, 0) * 4) + payload


def udp(payload: bytes = b"", sport: int = 5353, dport: int = 53, length: int | None = None) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(
    payload: bytes = b"",
    protocol: int = TCP,
    *,
    options: bytes = b"",
    cut: int = 0,
    identification: int = 7,
    length: int | None = None,
    version: int = 4,
    words: int | None = None,
    tos: int = 0,
    source: str = SOURCE,
    wrong_sum: int = 0,
) -> bytes:
    words = 5 + len(options) // 4 if words is None else words
    length = 20 + len(options) + len(payload) if length is None else length
    addresses = ip_address(source).packed + ip_address(DESTINATION).packed
    head = struct.pack("!BBHHHBBH", version << 4 | words, tos, length, identification, cut, 63, protocol, 0) + addresses + options
    return head[:10] + struct.pack("!H", checksum(head) ^ wrong_sum) + head[12:] + payload


def ipv6(
    payload: bytes = b"",
    protocol: int = TCP,
    *,
    length: int | None = None,
    version: int = 6,
    source: str = SOURCE6,
    destination: str = DESTINATION6,
    traffic_class: int = 0,
) -> bytes:
    length = len(payload) if length is None else length
    word = version << 28 | traffic_class << 20 | 0x12345
    return struct.pack("!IHBB", word, length, protocol, 62) + ip_address(source).packed + ip_address(destination).packed + payload


def fragment_header(following: int, offset: int, *, more: bool, identification: int = 0xCAFE) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, identification)


def ethernet(payload: bytes, ethertype: int = 0x0800) -> bytes:
    return b"\x02\0\0\0\0\x09" + MAC.to_bytes(6, "big") + struct.pack("!H", ethertype) + payload


def decoded(data: bytes, link: int = RAW, on_wire: int = 0) -> Decoded:
    found = decode(data, link, on_wire)
    assert isinstance(found, Decoded), found
    return found


def reason(data: bytes, link: int = RAW) -> str:
    found = decode(data, link)
    assert isinstance(found, Undecodable), found
    return found.reason
