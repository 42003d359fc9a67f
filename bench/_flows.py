"""The first packets of flows, as caps have an inspector see them: a mix of what subscribers open, each flow with ends of its own.

Of 16 flows 6 are TLS, half of them with a hello that takes two segments, as post-quantum keys make it; 3 are QUIC, one of them
with such a hello; 4 are questions of DNS, 1 is HTTP, 1 BitTorrent's handshake, and 1 is UDP that nothing recognises. A flow ends
where its class is known, or where the rules stop asking (policies/capping.py); of TCP the SYN is missing, which is not asked for.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from edged.inspect.judge import BUDGET, LONG_BUDGET
from edged.packet.layers import TCP, UDP
from tests.netns.differential.shots import ACK, PSH, SYN, checksum
from tests.unit.inspect.detectors.p2p_flows import HANDSHAKE
from tests.unit.inspect.names.hellos import big, named, records
from tests.unit.inspect.names.initials import crypto, initial

SEGMENT = 1400
_HTTP = b"GET /index.html HTTP/1.1\r\nHost: %s\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n"


class Sent(NamedTuple):
    """An IP packet, and whether it comes from the subscriber."""

    up: bool
    packet: bytes


class Ends(NamedTuple):
    """The subscriber's end and the other one, as integers."""

    near: int
    near_port: int
    far: int
    far_port: int

    @classmethod
    def of(cls, number: int, port: int) -> Ends:
        """Those of the flow of that number: in 100.64.0.0/10, and in 8.0.0.0/8."""
        return cls(
            0x64400000 + number * 2654435761 % (1 << 22),
            1024 + number % 60000,
            0x08000000 + number * 40503 % (1 << 24),
            port,
        )


def datagram(ends: Ends, payload: bytes, *, up: bool = True) -> Sent:
    """UDP, without a checksum of its own (RFC 768 permits that)."""
    ports = (ends.near_port, ends.far_port) if up else (ends.far_port, ends.near_port)
    return sent(ends, UDP, struct.pack("!4H", *ports, 8 + len(payload), 0) + payload, up=up)


def conversation(ends: Ends, says: list[tuple[bool, bytes]]) -> Iterator[Sent]:
    """TCP from the answer to its SYN on: who says what, a segment each, of which every second one is acknowledged."""
    following = {True: 1001, False: 5000}
    yield _segment(ends, following, SYN | ACK, b"", up=False)
    following[False] += 1
    yield _segment(ends, following, ACK, b"", up=True)
    for place, (up, payload) in enumerate(says):
        yield _segment(ends, following, PSH | ACK, payload, up=up)
        following[up] += len(payload)
        if place % 2:
            yield _segment(ends, following, ACK, b"", up=not up)


def mixed(count: int) -> Iterator[list[Sent]]:
    """The packets of so many flows; the same at every call."""
    drawn = random.Random(1)
    for number in range(count):
        yield list(_MIX[number % len(_MIX)](number, drawn))


def quic(number: int, drawn: random.Random) -> Iterator[Sent]:
    """A QUIC client's Initial, with a hello of today."""
    return _initials(number, drawn, named(_name(number)))


def quic_in_two(number: int, drawn: random.Random) -> Iterator[Sent]:
    """Two Initials, for a hello with a post-quantum key."""
    return _initials(number, drawn, big(_name(number)))


def _initials(number: int, drawn: random.Random, hello: bytes) -> Iterator[Sent]:
    ends, identity = Ends.of(number, 443), drawn.randbytes(8)
    for place, at in enumerate(range(0, len(hello), 1100)):
        yield datagram(ends, initial(crypto(at, hello[at : at + 1100]), number=place, destination=identity, size=1250))


def _tls(number: int, _: random.Random) -> Iterator[Sent]:
    return conversation(Ends.of(number, 443), [(True, records(named(_name(number))))])


def _tls_in_two(number: int, _: random.Random) -> Iterator[Sent]:
    hello = records(big(_name(number)))
    return conversation(Ends.of(number, 443), [(True, hello[:SEGMENT]), (True, hello[SEGMENT:])])


def _dns(number: int, _: random.Random) -> Iterator[Sent]:
    labels = b"".join(bytes([len(label)]) + label for label in _name(number).split(b"."))
    yield datagram(Ends.of(number, 53), struct.pack("!6H", number % 65536, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")


def _http(number: int, _: random.Random) -> Iterator[Sent]:
    page = [(False, (_PAGE + bytes(SEGMENT))[:SEGMENT]), *[(False, b"<p>" * (SEGMENT // 3))] * (LONG_BUDGET - 2)]
    return conversation(Ends.of(number, 80), [(True, _HTTP % _name(number)), *page])


def _bittorrent(number: int, _: random.Random) -> Iterator[Sent]:
    return conversation(Ends.of(number, 6881), [(True, HANDSHAKE)])


def _unrecognised(number: int, drawn: random.Random) -> Iterator[Sent]:
    ends = Ends.of(number, 51820)
    for place in range(BUDGET):
        yield datagram(ends, b"\4\0\0\0" + drawn.randbytes(196), up=place % 2 == 0)


def _name(number: int) -> bytes:
    return b"host%d.example.com" % number


def _segment(ends: Ends, following: dict[bool, int], flags: int, payload: bytes, *, up: bool) -> Sent:
    ports = (ends.near_port, ends.far_port) if up else (ends.far_port, ends.near_port)
    head = struct.pack("!HHIIHHHH", *ports, following[up], following[not up], 5 << 12 | flags, 512, 0, 0)
    return sent(ends, TCP, head + payload, up=up)


def sent(ends: Ends, protocol: int, segment: bytes, *, up: bool) -> Sent:
    """An IPv4 packet with what that protocol carries in it."""
    addresses = (ends.near, ends.far) if up else (ends.far, ends.near)
    head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(segment), 0, 0, 64, protocol, 0, *addresses)
    return Sent(up, head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + segment)


_MIX: tuple[Callable[[int, random.Random], Iterator[Sent]], ...] = (
    _tls, _dns, quic, _tls_in_two, _dns, _http, _tls, quic_in_two, _dns, _tls_in_two, _bittorrent, _tls, _dns, quic, _tls_in_two,
    _unrecognised,
)  # fmt: skip
