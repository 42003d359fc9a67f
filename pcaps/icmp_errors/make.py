"""ICMP errors about a subscriber's connections."""

from __future__ import annotations

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6PacketTooBig

from pcaps._common import HOME, HOME6, WEB, WEB6, ethernet, ip, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    big = tcp(HOME6, 40001, WEB6, 80, "PA", bytes(100))
    probe = udp(HOME, 40002, WEB, 33434)
    unknown = udp(HOME, 40003, WEB, 33435)
    return ethernet(
        [
            big,
            ip("2001:db8:e::1", HOME6) / ICMPv6PacketTooBig(mtu=1280) / bytes(big),
            probe,
            ip(WEB, HOME) / ICMP(type=3, code=3) / bytes(probe),
            ip(WEB, HOME) / ICMP(type=3, code=3) / bytes(unknown),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
