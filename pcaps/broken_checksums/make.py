"""Packets with wrong checksums."""

from __future__ import annotations

from scapy.layers.inet import TCP, UDP
from scapy.packet import Raw

from pcaps._common import HOME, MAIL, QUERY, STRANGER, WEB, ethernet, ip, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, MAIL, 25, chksum=0x1234),
            tcp(MAIL, 25, HOME, 40001, "SA", chksum=0x1234),
            ip(STRANGER, HOME) / UDP(sport=40001, dport=53, chksum=0x1234) / Raw(QUERY),
            tcp(HOME, 40002, WEB, 80, chksum=0x1234),
            ip(HOME, MAIL, chksum=0x1234) / TCP(sport=40003, dport=25, seq=1000, window=64240),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
