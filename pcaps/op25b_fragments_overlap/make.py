"""Port 25 in pieces that overlap."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, ethernet, pieces, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 40)[0],
            pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 32)[1],
            pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 40)[2],
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
