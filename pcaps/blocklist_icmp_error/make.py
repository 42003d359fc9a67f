"""ICMP errors of routers on the way, one of them listed."""

from __future__ import annotations

from scapy.layers.inet import ICMP

from pcaps._common import HOME, STRANGER, WEB, ethernet, ip, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    probe = udp(HOME, 40001, WEB, 33434)
    expired = ICMP(type=11, code=0) / bytes(probe)
    return ethernet([probe, ip("192.0.2.100", HOME) / expired, ip(STRANGER, HOME) / expired])


if __name__ == "__main__":
    write(__file__, capture())
