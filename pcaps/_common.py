"""What the cases' make.py share: who is who, packets with fixed numbers and times, and the formats of capture files.

Packets are made by scapy; every field that scapy would choose by itself is given here, so the same bytes come out everywhere.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

# Of the shipped policy's pools (rules/edged.yaml), and around them.
HOME, HOME6 = "203.0.113.10", "2001:db8:d:10::1"  # a subscriber with dynamic addresses
NEXT_DOOR, NEXT_DOOR6 = "203.0.113.11", "2001:db8:d:11::1"  # another one
OFFICE, OFFICE6 = "198.51.100.80", "2001:db8:5:80::1"  # a subscriber with static addresses
OWN_MAIL, OWN_MAIL6 = "192.0.2.25", "2001:db8:a::25"  # the operator's mail server
MONITORING = "192.0.2.5"  # in never_block
MAIL, MAIL6 = "198.18.25.1", "2001:db8:b::25"  # someone's mail server outside
WEB, WEB6 = "198.18.80.1", "2001:db8:b::80"  # someone's web server outside
RESOLVER, RESOLVER6 = "198.18.53.1", "2001:db8:b::53"  # a resolver outside
STRANGER, STRANGER6 = "198.19.66.6", "2001:db8:f:66::6"  # someone outside

_POOLS = tuple(map(ip_network, ("203.0.113.0/25", "198.51.100.0/24", "2001:db8:d::/48", "2001:db8:5::/48")))

ACCESS_MAC, UPSTREAM_MAC, GATEWAY_MAC = (f"00:00:5e:00:53:{last:02x}" for last in (1, 2, 3))  # RFC 7042 section 2.1.2

ETHERNET, PPP_RAW, RAW, COOKED, COOKED_2 = 1, 9, 101, 113, 276  # https://www.tcpdump.org/linktypes.html
QUERY = bytes.fromhex("1234 0100 0001 0000 0000 0000 076578616d706c65 00 00ff 0001")  # example. ANY
ANSWER = bytes.fromhex("1234 8180 0001 0000 0000 0000 076578616d706c65 00 00ff 0001")

CLIENT, SERVER = 0, 1  # of a connection

BEGIN = 1_793_620_800 * 10**9  # 2026-11-02T12:00:00Z
STEP = 10_000_000  # nanoseconds from one packet to the next


def ip(source: str, destination: str, **fields: object) -> Packet:
    """The header of either family."""
    header = IPv6 if ":" in source else IP
    return header(src=source, dst=destination, **fields)


def tcp(source: str, sport: int, destination: str, dport: int, flags: str = "S", data: bytes = b"", **fields: int) -> Packet:
    """One TCP packet; by itself the first of a connection."""
    numbers = {"seq": 1000, "ack": 2000 if "A" in flags else 0, "window": 64240, **fields}
    return _with(data, ip(source, destination) / TCP(sport=sport, dport=dport, flags=flags, **numbers))


def udp(source: str, sport: int, destination: str, dport: int, data: bytes = b"data") -> Packet:
    """One UDP packet."""
    return _with(data, ip(source, destination) / UDP(sport=sport, dport=dport))


def ping(source: str, destination: str, *, answer: bool = False, number: int = 1) -> Packet:
    """An ICMP echo request of either family, or the answer to one."""
    if ":" in source:
        echo = (ICMPv6EchoReply if answer else ICMPv6EchoRequest)(id=7, seq=number, data=b"ping")
        return ip(source, destination) / echo
    return ip(source, destination) / ICMP(type=0 if answer else 8, id=7, seq=number) / Raw(b"ping")


def conversation(client: str, cport: int, server: str, sport: int, *, ask: bytes = b"EHLO home\r\n") -> list[Packet]:
    """A whole TCP connection: handshake, greeting, question and answer, and its end; nine packets, five from the client."""
    return connection(client, cport, server, sport, (SERVER, b"220 ready\r\n"), (CLIENT, ask), (SERVER, b"250 fine\r\n"))


def connection(client: str, cport: int, server: str, sport: int, *said: tuple[int, bytes]) -> list[Packet]:
    """A whole TCP connection in which CLIENT and SERVER say that in turn, a segment each: three packets before, three behind."""
    ways = (client, cport, server, sport), (server, sport, client, cport)
    following = [1001, 2001]
    made = [
        tcp(*ways[CLIENT], "S", seq=1000, ack=0),
        tcp(*ways[SERVER], "SA", seq=2000, ack=1001),
        tcp(*ways[CLIENT], "A", seq=1001, ack=2001),
    ]
    for side, data in said:
        made.append(tcp(*ways[side], "PA", data, seq=following[side], ack=following[1 - side]))
        following[side] += len(data)
    seq, ack = following
    return [
        *made,
        tcp(*ways[CLIENT], "FA", seq=seq, ack=ack),
        tcp(*ways[SERVER], "FA", seq=ack, ack=seq + 1),
        tcp(*ways[CLIENT], "A", seq=seq + 1, ack=ack + 1),
    ]


def mixed() -> list[Packet]:
    """Six packets that a link layer or a file format must not hide: in turn reject, accept, drop, drop, reject and accept."""
    return [
        tcp(HOME, 40001, MAIL, 25),
        tcp(HOME, 40002, WEB, 80),
        tcp(MAIL, 25, HOME, 40003, "SA"),
        udp(STRANGER, 40004, HOME, 53, QUERY),
        tcp(HOME6, 40005, MAIL6, 25),
        udp(RESOLVER, 53, HOME, 40006, ANSWER),
    ]


def pieces(whole: Packet, size: int, *, identification: int = 7) -> list[Packet]:
    """The packet, cut behind every `size` bytes of what its IP header carries; `size` is a multiple of 8."""
    if isinstance(whole, IP):
        whole.id = identification
        return [IP(bytes(piece)) for piece in fragment(IP(bytes(whole)), fragsize=size)]
    carried = bytes(IPv6(bytes(whole)).payload)
    return [
        IPv6(src=whole.src, dst=whole.dst)
        / IPv6ExtHdrFragment(nh=IPv6(bytes(whole)).nh, offset=at // 8, m=at + size < len(carried), id=identification)
        / Raw(carried[at : at + size])
        for at in range(0, len(carried), size)
    ]


def frame(packet: Packet, sender: str = UPSTREAM_MAC, *between: Packet) -> Packet:
    """An Ethernet frame to the gateway, with other headers between where they are given."""
    made = Ether(src=sender, dst=GATEWAY_MAC)
    for header in between:
        made /= header
    return made / packet


def ethernet(packets: Iterable[Packet], *, begin: int = BEGIN) -> bytes:
    """A pcap of Ethernet frames; a packet whose source is in a pool comes from the access side. Frames stay as they are."""
    return pcap((each if isinstance(each, Ether) else frame(each, _sender(each.src)) for each in packets), begin=begin)


def pcap(
    frames: Iterable[Packet],
    link: int = ETHERNET,
    *,
    order: str = "<",
    nanoseconds: bool = False,
    snap: int = 65535,
    begin: int = BEGIN,
) -> bytes:
    """A pcap; `snap` cuts what was captured of a frame."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    made = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link)
    for time, data in _timed(frames, begin):
        second, rest = divmod(time, 10**9)
        made += struct.pack(f"{order}IIII", second, rest // unit, min(len(data), snap), len(data)) + data[:snap]
    return made


def pcapng(frames: Iterable[tuple[int, Packet]], links: Iterable[int]) -> bytes:
    """A pcapng with these interfaces, microseconds all; each frame with the number of its interface."""
    made = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    made += b"".join(_block(1, struct.pack("<HHI", link, 0, 65535)) for link in links)
    interfaces, packets = zip(*frames, strict=True)
    for interface, (time, data) in zip(interfaces, _timed(packets, BEGIN), strict=True):
        head = struct.pack("<IIIII", interface, time // 1000 >> 32, time // 1000 & 0xFFFFFFFF, len(data), len(data))
        made += _block(6, head + data)
    return made


def gzipped(data: bytes) -> bytes:
    """The data in gzip's form, stored and not compressed, so that no version of zlib makes other bytes of it."""
    halves = [data[at : at + 512] for at in range(0, len(data), 512)]
    stored = b"".join(
        struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part
        for part, last in ((part, place == len(halves)) for place, part in enumerate(halves, 1))
    )
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + stored + struct.pack("<II", zlib.crc32(data), len(data))


def write(make: str, capture: bytes) -> None:
    """Write the capture beside the make.py that made it."""
    Path(make).with_name(name_of(capture)).write_bytes(capture)


def name_of(capture: bytes) -> str:
    """What a case's capture is called."""
    return "input.pcapng" if capture.startswith(b"\x0a\x0d\x0d\x0a") else "input.pcap"


def _with(data: bytes, packet: Packet) -> Packet:
    return packet / Raw(data) if data else packet


def _sender(source: str) -> str:
    return ACCESS_MAC if any(ip_address(source) in prefix for prefix in _POOLS) else UPSTREAM_MAC


def _timed(frames: Iterable[Packet], begin: int) -> Iterator[tuple[int, bytes]]:
    for number, each in enumerate(frames):
        yield begin + number * STEP, bytes(each)


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
