"""ESP, AH, GRE and IP in IP, with port 25 inside."""

from __future__ import annotations

from scapy.layers.inet import TCP
from scapy.layers.l2 import GRE
from scapy.packet import Raw

from pcaps._common import HOME, HOME6, MAIL, MAIL6, STRANGER, STRANGER6, ethernet, ip, tcp, write

AH = bytes.fromhex("0604 0000 00000007 00000001") + bytes(12)  # RFC 4302 section 2: TCP follows, 24 bytes


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            ip(HOME, STRANGER, proto=50) / Raw(bytes.fromhex("00000007 00000001") + bytes(32)),
            ip(HOME6, STRANGER6, nh=50) / Raw(bytes.fromhex("00000007 00000001") + bytes(32)),
            ip(HOME, MAIL, proto=51) / Raw(AH) / TCP(sport=40001, dport=25, seq=1000, window=64240, chksum=0),
            ip(HOME6, MAIL6, nh=51) / Raw(AH) / TCP(sport=40001, dport=25, seq=1000, window=64240, chksum=0),
            ip(HOME, STRANGER) / GRE() / tcp(HOME, 40001, MAIL, 25),
            ip(HOME, STRANGER, proto=4) / tcp(HOME, 40001, MAIL, 25),
            ip(HOME, STRANGER, proto=41) / tcp(HOME6, 40001, MAIL6, 25),
            ip(STRANGER, HOME, proto=41) / tcp(MAIL6, 25, HOME6, 40001, "SA"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
