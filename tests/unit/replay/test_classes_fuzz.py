"""Whatever packets come, telling what they are ends, soon, and in bounded memory; `EDGED_PROFILE=long` tries ten million.

Packets are of conversations that go on side by side: what real protocols say, changed, cut into segments that come in any order
and twice, and into pieces. They go the way of a capture's, through reassembly, streams, names and detectors.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.inspect.engine import Inspector
from edged.inspect.sight import TrafficClass
from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival, Side
from edged.replay.classes import Classifier
from edged.replay.verdict import Judged, Judgement, Verdict
from edged.ruleset.nodes import Transport
from edged.sources.hosts import Hosts
from tests.promises import Measured
from tests.unit.inspect.detectors.p2p_flows import KNOWN, OVER_TCP, OVER_UDP
from tests.unit.inspect.detectors.test_streaming import RTMP, RTP, SPOTIFY, TPKT, TS
from tests.unit.inspect.names.hellos import big, named, records
from tests.unit.inspect.names.initials import V2, crypto, initial
from tests.unit.packet.frames import fragment_header, ipv4, ipv6

PARTS = 8
INPUTS = 1_250_000 if os.environ.get("EDGED_PROFILE") == "long" else 3_000
MOST_FLOWS, MOST_BYTES = 500, 300_000
GROWTH = 64 << 20  # what the process may grow by, beside the 20 MB of a full memory of endpoints
SLOW = 1_000_000  # nanoseconds of CPU time, which one input in a thousand may take at most

NAME, OTHER = b"cdn.video.example", b"www.other.example"
TCP, UDP, SYN, ACK = 6, 17, 0x02, 0x10
HTTP = (
    b"GET /a.m3u8 HTTP/1.1\r\nHost: " + NAME + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Type: video/mp4\r\n\r\n123456789GET / HTTP/1.1\r\n\r\n",
    b"GNUTELLA CONNECT/0.6\r\nX-Try: 203.0.113.9:6346\r\n\r\n",
)
TO = {
    TCP: (
        *(each.sight.payload for each in KNOWN if each.transport is Transport.TCP),
        *OVER_TCP.values(),
        *HTTP,
        *(RTMP, SPOTIFY, TPKT),
        *(records(named(NAME)), records(big(NAME), 300), records(named(OTHER)), records(big(OTHER))),
    ),
    UDP: (
        *(each.sight.payload for each in KNOWN if each.transport is Transport.UDP),
        *OVER_UDP.values(),
        *(RTP, TS * 7, RTP + TS * 3),
        *(initial(crypto(0, named(name)), version=version, size=1200) for version in (1, V2) for name in (NAME, OTHER)),
        initial(crypto(0, big(NAME)[:1000]), size=1200),
        initial(crypto(1000, big(NAME)[1000:]), number=1, size=1200),
    ),
}
PASSED = Judgement(Verdict.ACCEPT)


@dataclass(slots=True)
class Talk:
    """A conversation; `waiting` are the segments that are still to be sent, each with its side and its number."""

    protocol: int
    is_ipv6: bool
    host: int
    ports: tuple[int, int]
    numbers: list[int] = field(default_factory=lambda: [2**32 - 40, 7])
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)


def talk(chance: random.Random) -> Talk:
    port = chance.choice((53, 80, 443, 2152, 4789, 6346, 6881, chance.randrange(65536)))
    return Talk(chance.choice((TCP, UDP)), chance.random() < 0.3, chance.randrange(1, 255), (chance.randrange(1024, 65536), port))


def changed(chance: random.Random, said: bytes, others: tuple[bytes, ...]) -> bytes:
    """The bytes, half of the time with some changed, cut off, put in, or behind another's beginning."""
    if chance.random() < 0.5:
        return said
    made = bytearray(said)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\0\1"))
            case 2:
                del made[at:]
            case 3:
                made[at:at] = chance.randbytes(chance.randrange(20))
            case _:
                made[:at] = chance.choice(others)[: chance.randrange(200)]
    return bytes(made[:20_000])


def said(chance: random.Random, each: Talk) -> Iterator[bytes]:
    """Transport packets: a datagram, or segments in some order."""
    side = chance.randrange(2)
    payload = changed(chance, chance.choice(TO[each.protocol]), TO[each.protocol])
    ports = each.ports if side == 0 else each.ports[::-1]
    if each.protocol == UDP:
        yield struct.pack("!HHHH", *ports, (8 + len(payload)) & 0xFFFF, 0) + payload
        return
    while payload:
        size = chance.choice((1, 7, 100, 700, 1400, 1400, 9000))
        each.waiting.append((side, each.numbers[side], payload[:size]))
        each.numbers[side] += len(payload[:size])
        payload = payload[size:]
    while each.waiting:
        at = 0 if chance.random() < 0.8 else chance.randrange(len(each.waiting))
        side, number, segment = each.waiting[at]
        flags = SYN if chance.random() < 0.05 else ACK
        if chance.random() < 0.05:
            number += chance.choice((-1, 1, -len(segment), 1 << 31, 20_000))
        if chance.random() < 0.9:
            del each.waiting[at]  # else it comes again
        ports = each.ports if side == 0 else each.ports[::-1]
        yield struct.pack("!HHIIHHHH", *ports, number & 0xFFFF_FFFF, 0, 5 << 12 | flags, 512, 0, 0) + segment


def packets(chance: random.Random) -> Iterator[bytes]:
    """IP packets, some of them in pieces."""
    talks = [talk(chance) for _ in range(100)]
    identification = 0
    while True:
        at = chance.randrange(len(talks))
        each = talks[at]
        source = f"2001:db8::{each.host:x}" if each.is_ipv6 else f"192.0.2.{each.host}"
        for transport in said(chance, each):
            identification = (identification + 1) & 0xFFFF
            size = 65_536 if chance.random() < 0.9 else 8 * chance.randrange(1, 100)
            pieces = [(start, transport[start : start + size]) for start in range(0, len(transport), size)][:40]
            if chance.random() < 0.2:
                chance.shuffle(pieces)
            for start, piece in pieces:
                more = start + size < len(transport)
                if not each.is_ipv6:
                    cut = more << 13 | start // 8
                    yield ipv4(piece, each.protocol, cut=cut, identification=identification, source=source)
                elif len(pieces) == 1:
                    yield ipv6(piece, each.protocol, source=source)
                else:
                    head = fragment_header(each.protocol, start, more=more, identification=identification)
                    yield ipv6(head + piece, 44, source=source)
        if chance.random() < 0.2:
            talks[at] = talk(chance)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.promise(10)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_packet_is_told_in_time_and_within_the_bounds(part: int, measured: Measured) -> None:
    chance = random.Random(part)
    inspector = Inspector(Hosts(frozenset({"video.example"})), most_flows=MOST_FLOWS, most_bytes=MOST_BYTES)
    classifier = Classifier(inspector)
    now = slow = read = 0
    before = resident()
    coming = packets(chance)
    while read < INPUTS:
        data = next(coming)
        packet = decode(data, RAW)
        if not isinstance(packet, Decoded):
            continue
        read += 1
        now += chance.choice((0, 10**5, 10**7, 10**9, -(10**8)))
        arrival = Arrival("", read, now, data, packet, Side.ACCESS)
        began = time.thread_time_ns()
        told = list(classifier.counted(Judged(each, PASSED) for each in classifier.looked_into((arrival,))))
        slow += time.thread_time_ns() - began > SLOW
        assert len(told) == 1
        assert len(inspector) <= MOST_FLOWS
        assert inspector.held <= MOST_BYTES
    assert slow <= INPUTS // 1_000
    measured(f"inspector: 0 exceptions in {PARTS} times {INPUTS:,} packets, 99.9 % of them below {SLOW / 1e6:g} ms")
    assert resident() - before < GROWTH
    counts = inspector.counts
    assert all(counts.decided[each] > INPUTS // 1_000 for each in TrafficClass)
    assert min(counts.named, counts.undecided) > INPUTS // 1_000
