"""Port 25 of what is not TCP, and ports that only look like 25."""

from __future__ import annotations

import struct

from scapy.packet import Raw

from pcaps._common import HOME, MAIL, ethernet, ip, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(HOME, 40001, MAIL, 25),
            udp(MAIL, 25, HOME, 40001),
            ip(HOME, MAIL, proto=132) / Raw(struct.pack("!HHII", 40001, 25, 0, 0)),
            *(tcp(HOME, 40001, MAIL, port) for port in (24, 26, 2525)),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
