"""Triangular spam, both legs: the forged one and the one of the replies."""

from __future__ import annotations

from pcaps._common import ACCESS_MAC, HOME, MAIL, STRANGER, ethernet, frame, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            frame(tcp("203.0.113.200", 40001, MAIL, 25, "S"), ACCESS_MAC),
            tcp(MAIL, 25, HOME, 40002, "SA"),
            udp(HOME, 4444, STRANGER, 4444),
            frame(tcp("203.0.113.200", 40001, MAIL, 25, "A"), ACCESS_MAC),
            frame(tcp("203.0.113.200", 40001, MAIL, 25, "PA", b"MAIL FROM:<>"), ACCESS_MAC),
            tcp(MAIL, 25, HOME, 40002, "PA", b"220 ready"),
            udp(HOME, 4444, STRANGER, 4444),
            frame(tcp("203.0.113.200", 40001, MAIL, 25, "FA"), ACCESS_MAC),
            tcp(MAIL, 25, HOME, 40002, "PA", b"250 fine"),
            udp(HOME, 4444, STRANGER, 4444),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
