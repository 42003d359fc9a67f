"""DHCP, duplicate address detection and link-local addresses."""

from __future__ import annotations

from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6ND_RS
from scapy.packet import Raw

from pcaps._common import WEB, ethernet, ip, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            ip("0.0.0.0", "255.255.255.255") / UDP(sport=68, dport=67) / Raw(bytes(240)),  # noqa: S104  DHCP has no other
            ip("::", "ff02::1:ff00:1") / ICMPv6ND_NS(tgt="2001:db8:d:10::1"),
            ip("fe80::1", "ff02::2") / ICMPv6ND_RS(),
            udp("fe80::1", 546, "ff02::1:2", 547),
            udp("169.254.7.7", 40001, WEB, 40002),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
