"""Data to and from port 25 without a handshake."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, MAIL, 25, "PA", b"MAIL FROM:<>"),
            tcp(MAIL, 25, HOME, 40001, "PA", b"250 fine"),
            tcp(HOME, 40001, MAIL, 25, "A"),
            tcp(MAIL, 25, HOME, 40001, "A"),
            tcp(HOME6, 40001, MAIL6, 25, "PA", b"DATA"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
