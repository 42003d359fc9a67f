"""Port 25 in pieces."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, WEB, ethernet, pieces, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 40),
            *pieces(tcp(HOME, 40001, WEB, 80, "PA", bytes(64)), 40, identification=8),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
