"""Port 25 behind extension headers."""

from __future__ import annotations

from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN

from pcaps._common import HOME6, MAIL6, ethernet, ip, write


def capture() -> bytes:
    """The bytes of the capture."""
    pad = [PadN(optdata=bytes(4))]
    chains = [
        IPv6ExtHdrHopByHop(options=pad),
        IPv6ExtHdrDestOpt(options=pad),
        IPv6ExtHdrRouting(type=253, segleft=0, addresses=[]),
        IPv6ExtHdrHopByHop(options=pad) / IPv6ExtHdrDestOpt(options=pad),
        IPv6ExtHdrFragment(offset=0, m=0, id=7),
    ]
    smtp = TCP(sport=40001, dport=25, seq=1000, window=64240)
    submission = TCP(sport=40001, dport=587, seq=1000, window=64240)
    packets = [ip(HOME6, MAIL6) / chain / smtp for chain in chains]
    return ethernet([*packets, ip(HOME6, MAIL6) / IPv6ExtHdrDestOpt(options=pad) / submission])


if __name__ == "__main__":
    write(__file__, capture())
