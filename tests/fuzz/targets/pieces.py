"""Fragments, in any order and overlap, into one reassembler."""

from __future__ import annotations

from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.packet.reassembly import Discarded, Kept, Passed, Reassembler, Whole
from tests.fuzz.target import Target
from tests.unit.packet.frames import fragment_header, ipv4, ipv6

_MOST, _BYTES = 20, 8_000


def run(data: bytes) -> None:
    """Packets, each behind two bytes with its length."""
    reassembler, now, at = Reassembler(most_packets=_MOST, most_bytes=_BYTES), 0, 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        raw = data[at + 2 : at + 2 + length]
        at, now = at + 2 + length, now + 10**8
        packet = decode(raw, RAW)
        if isinstance(packet, Decoded):
            assert isinstance(reassembler.take(packet, raw, now), Passed | Kept | Whole | Discarded)
            assert 0 <= reassembler.held <= _BYTES
            assert reassembler.waiting <= _MOST


def _seed(*packets: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in packets)


TARGET = Target(
    10,
    run,
    (
        _seed(ipv4(bytes(16), 17, cut=0x2000), ipv4(bytes(8), 17, cut=2)),
        _seed(ipv4(bytes(8), 17, cut=2), ipv4(bytes(24), 17, cut=0x2000), ipv4(bytes(8), 17, cut=0x2001)),
        _seed(*(ipv6(fragment_header(17, start, more=start < 16) + bytes(8), 44) for start in (0, 16, 8))),
    ),
)
