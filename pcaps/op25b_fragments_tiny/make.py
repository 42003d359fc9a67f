"""Port 25 in the smallest pieces there are."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, ethernet, pieces, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(tcp(HOME, 40001, MAIL, 25, "PA", bytes(12)), 8),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
