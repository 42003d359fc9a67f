"""Packets that more than one policy would stop."""

from __future__ import annotations

from pcaps._common import ACCESS_MAC, HOME, MAIL, NEXT_DOOR, QUERY, STRANGER, UPSTREAM_MAC, ethernet, frame, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            frame(tcp(STRANGER, 40001, "192.0.2.100", 25), ACCESS_MAC),
            tcp(HOME, 40001, "192.0.2.100", 25),
            tcp("192.0.2.100", 25, HOME, 40001, "SA"),
            udp("192.0.2.100", 40001, HOME, 53, QUERY),
            frame(tcp(NEXT_DOOR, 25, HOME, 40001, "SA"), UPSTREAM_MAC),
            tcp(HOME, 40002, MAIL, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
