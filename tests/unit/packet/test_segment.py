"""A packet that is read in one go is what the decoder makes of it, whatever its bytes are; and nearly all are read so."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.packet.network import ip
from edged.packet.segment import Segment, plain, segment_of
from edged.replay.readers import open_capture
from tests.tiers import require
from tests.unit.packet.frames import TCP, UDP, fragment_header, ipv4, ipv6, tcp, udp
from tests.unit.packet.test_corpus import CORPUS, captures
from tests.unit.packet.test_fuzz import PACKETS, mutated

WIDE = 1 << 17  # of what was copied for the live queue the packet may be longer
PLAIN = (
    ipv4(tcp(b"hello")),
    ipv4(tcp(b"", words=8)),
    ipv4(udp(bytes(30)), UDP),
    ipv6(tcp(b"hello", words=15)),
    ipv6(udp(bytes(30)), UDP),
)


def shifted(segment: Segment, at: int) -> Segment:
    return segment._replace(at=segment.at + at, end=segment.end + at)


def agrees(data: bytes, before: bytes = b"", behind: bytes = b"") -> bool:
    """Whether the packet is read in one go; where it is, both ways must agree."""
    found = plain(before + data + behind, len(before), len(before) + len(data))
    packet = ip(data, 0, WIDE)
    if found is None or not isinstance(packet, Decoded) or packet.dropped_by_stack:
        return False
    expected = segment_of(packet)
    assert expected is not None
    assert found == shifted(expected, len(before))
    return True


@pytest.mark.parametrize("data", PLAIN)
def test_plain_packets_are_read_in_one_go(data: bytes) -> None:
    assert agrees(data, b"before", b"behind")


@pytest.mark.parametrize(
    "data",
    [
        ipv4(tcp(b"x"), options=bytes(4)),
        ipv4(tcp(b"x"), cut=0x2000),
        ipv4(tcp(b"x"), cut=1),
        ipv4(tcp(b"x"), words=4),
        ipv4(tcp(b"x"), length=2000),
        ipv4(tcp(b"", words=15)[:30]),
        ipv4(udp(b"short"), UDP)[:30],
        ipv4(udp(bytes(30), length=20), UDP),
        ipv4(bytes(40), 47),
        ipv6(fragment_header(TCP, 0, more=True) + tcp(b"x"), 44),
        ipv6(bytes(40), 58),
        b"",
    ],
)
def test_of_others_the_decoder_is_asked(data: bytes) -> None:
    assert plain(data, 0, len(data)) is None


def test_mutated_packets_are_the_decoders() -> None:
    chance, frames = random.Random(8), (*PACKETS, *PLAIN)
    read = sum(agrees(mutated(chance, chance.choice(frames)), chance.randbytes(chance.randrange(8))) for _ in range(20_000))
    assert read > 4_000


@given(st.binary(max_size=100), st.binary(max_size=8), st.sampled_from((0x45, 0x60)))
def test_any_bytes_are_the_decoders(data: bytes, before: bytes, first: int) -> None:
    agrees(bytes((first,)) + data, before)


@given(st.binary(min_size=20, max_size=60), st.sampled_from((TCP, UDP)), st.booleans())
def test_any_transport_header_is_the_decoders(transport: bytes, protocol: int, is_ipv6: bool) -> None:
    if protocol == UDP:
        transport = transport[:4] + struct.pack("!H", len(transport)) + transport[6:]
    agrees(ipv6(transport, protocol) if is_ipv6 else ipv4(transport, protocol))


@pytest.fixture(scope="module")
def files() -> list[Path]:
    if not (found := captures()):
        require("unit", f"no captures in {CORPUS} (EDGED_CORPUS says where they are)")
    return found


def test_of_real_captures_nearly_every_segment_is_read_in_one_go(files: list[Path]) -> None:
    asked = read = 0
    for path in files:
        with open_capture(path) as capture:
            for record in capture:
                packet = decode(record.data, record.link, record.original_length)
                if not isinstance(packet, Decoded) or segment_of(packet) is None or packet.dropped_by_stack:
                    continue
                data = record.data[packet.network : packet.network + packet.length]
                asked += 1
                read += agrees(data, record.data[: packet.network])
    assert asked > 20_000
    assert read / asked > 0.95, f"{read} of {asked}"
