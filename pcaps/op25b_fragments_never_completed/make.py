"""Port 25 in pieces of which some never come."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, ethernet, pieces, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 40)[:2],
            *pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(64)), 40, identification=8)[1:],
            tcp(HOME, 40002, MAIL, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
