"""Whatever bytes come, the decoder and the reassembler answer, within their bounds; `EDGED_PROFILE=long` tries ten million."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.packet.decode import _LINKS, COOKED, COOKED_2, ETHERNET, PPP, RAW, decode
from edged.packet.layers import Decoded
from edged.packet.reassembly import Reassembler, Whole
from edged.packet.tunnels import DEEPEST, innermost
from tests.promises import Measured
from tests.unit.packet.frames import decoded, ethernet, fragment_header, ipv4, ipv6, tcp, udp

PARTS = 8  # the long form is cut into parts, for workers that run side by side
IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
DECODED = 1_000_000 if IS_LONG else 2_000
PIECES = 240_000 if IS_LONG else 400
LINKS = (*_LINKS, ETHERNET)

EXTENSIONS = bytes([43, 0, 5, 2, 0, 0, 1, 0]) + bytes([60, 1]) + bytes(14) + bytes([6, 0, 1, 4, 0, 0, 0, 0])
GTP = udp(b"\x34\xff\0\x40\0\0\0\1" + b"\0\0\0\x85\1\0\0\0" + ipv4(tcp(bytes(16))), 2152, 2152)
PACKETS = (
    ipv4(tcp(bytes(20))),
    ipv4(udp(bytes(20)), 17, options=bytes(8)),
    ipv4(GTP, 17),
    ipv4(udp(b"\x08" + bytes(7) + ethernet(ipv6(tcp()), 0x86DD), 1, 4789), 17),
    ipv4(b"\x30\x00\x08\x00" + bytes(8) + ipv4(tcp()), 47),
    ipv4(b"\x30\x81\x88\x0b" + bytes(12) + b"\xff\x03\x00\x21" + ipv4(tcp()), 47),
    ipv6(tcp(bytes(20))),
    ipv6(EXTENSIONS + tcp(bytes(20)), 0),
    ipv6(fragment_header(6, 0, more=True) + tcp(bytes(20)), 44),
    ipv6(bytes([44, 4]) + bytes(22) + fragment_header(58, 8, more=False) + bytes(20), 51),
    ipv6(ipv4(ipv6(tcp(), 6), 41), 4),
    ipv6(bytes([6, 0, 0xC2, 4, 0, 1, 0, 0]) + tcp(), 0, length=0),
)
FRAMES = (
    *((RAW, packet) for packet in PACKETS),
    *((ETHERNET, ethernet(packet, 0x0800 if packet[0] >> 4 == 4 else 0x86DD)) for packet in PACKETS),
    (ETHERNET, ethernet(b"\0\7\x81\0\0\7\x88\x64\x11\0\0\1\0\x40\0\x21" + ipv4(tcp()), 0x88A8)),
    (ETHERNET, ethernet(b"\0\1\0\x40\0\1\1\x40\0\0\0\0" + ethernet(ipv4(tcp())), 0x8847)),
    (COOKED, bytes(14) + b"\x08\0" + ipv4(tcp())),
    (COOKED_2, b"\x86\xdd" + bytes(18) + ipv6(tcp())),
    (PPP, b"\xff\x03\0\x57" + ipv6(tcp())),
)


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The bytes with some changed, cut off, doubled or put in."""
    made = bytearray(data)
    for _ in range(chance.randrange(4)):
        if not made:
            break
        at = chance.randrange(len(made))
        match chance.randrange(5):
            case 0:
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at] = chance.choice((0, 1, 4, 6, 41, 43, 44, 47, 51, 60, 255))
            case 2:
                del made[at:]
            case 3:
                made[at:at] = chance.randbytes(chance.randrange(9))
            case _:
                made[at:at] = made[at : at + chance.randrange(40)]
    return bytes(made)


def answered(data: bytes, link: int, on_wire: int = 0) -> None:
    found = decode(data, link, on_wire)
    if not isinstance(found, Decoded):
        assert found.reason
        return
    inner, taken_off = innermost(found, data)
    assert len(taken_off) <= DEEPEST + 1
    for packet in (found, inner):
        assert 0 <= packet.network <= packet.transport <= packet.payload <= packet.end <= len(data)
        assert packet.source >= 0 <= packet.length
        assert packet.source_port is not None or packet.destination_port is None


@pytest.mark.promise(10)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_decoder_answers(part: int, measured: Measured) -> None:
    chance = random.Random(part)
    for _ in range(DECODED):
        link, frame = chance.choice(FRAMES)
        data = mutated(chance, frame)
        if chance.random() < 0.1:
            link = chance.choice(LINKS)
        answered(data, link, chance.choice((0, 0, 60, 1500)))
    measured(f"decoder: 0 exceptions in {PARTS} times {DECODED:,} frames")


@given(st.binary(max_size=120), st.sampled_from(LINKS))
def test_the_decoder_answers_any_bytes(data: bytes, link: int) -> None:
    answered(data, link)


@pytest.mark.parametrize(
    "data",
    [
        ipv6(bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 8190, 60),
        ipv6(bytes([43, 0, 0, 0, 0, 0, 0, 0]) * 8190, 43),
        ipv6(bytes([44, 0, 0, 0, 0, 0, 0, 0]) * 8190, 44),
        ipv6(bytes([0]) * 65520, 0),
        ipv4(udp(b"\x34\xff\xff\xff\0\0\0\1" + b"\0\0\0\x85" + b"\1\0\0\x85" * 16000, 2152, 2152), 17),
    ],
    ids=["destination options", "routing", "fragments", "padding", "gtp extensions"],
)
def test_no_packet_takes_long(data: bytes) -> None:
    start = time.perf_counter()
    answered(data, RAW)
    assert time.perf_counter() - start < 0.5  # some 5 ms: 8000 headers of an IPv6 packet are looked at one by one


@pytest.mark.promise(10)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_reassembler_answers_within_its_bounds(part: int, measured: Measured) -> None:
    chance = random.Random(part)
    reassembler = Reassembler(most_packets=50, most_bytes=20_000)
    now = whole = 0
    for _ in range(PIECES):
        start, length = 8 * chance.randrange(3), chance.choice((0, 5, 8, 8, 8, 8, 16))
        more = start < 16 if chance.random() < 0.9 else chance.random() < 0.5
        ident, body = chance.randrange(4), chance.randbytes(length)
        if chance.random() < 0.5:
            data = ipv4(body, 17, cut=more << 13 | start // 8, identification=ident, tos=chance.randrange(4) // 3)
        else:
            data = ipv6(fragment_header(17, start, more=more, identification=ident) + body, 44)
        if chance.random() < 0.2:
            data = mutated(chance, data)
        now += chance.choice((0, 10**6, 10**9, -(10**9)))
        found = decode(data, RAW)
        if not isinstance(found, Decoded):
            continue
        taken = reassembler.take(found, data, now)
        assert 0 <= reassembler.held <= 20_000
        assert reassembler.waiting <= 50
        if isinstance(taken, Whole):
            whole += 1
            again = decoded(taken.data)
            assert again.length == len(taken.data)
            assert again.family is Family.IPV6 or again.dropped_by_stack == ""
    assert whole > PIECES // 100
    measured(f"reassembler: within its bounds for {PARTS} times {PIECES:,} pieces")
    last = ipv4(bytes(8), cut=0x2000)
    reassembler.take(decoded(last), last, now + 10**15)
    assert (reassembler.waiting, reassembler.held) == (1, 20 + 8 + 128)  # all else has ended, and its bytes are let go
