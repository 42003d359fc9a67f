"""Packets from outside that claim to come from inside."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, NEXT_DOOR, NEXT_DOOR6, OFFICE, WEB, ethernet, ping, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, NEXT_DOOR, 80),
            udp(OFFICE, 40001, HOME, 40002),
            ping(HOME6, NEXT_DOOR6),
            tcp(WEB, 80, HOME, 40001, "SA"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
