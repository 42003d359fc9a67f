"""Port 25 in pieces of IPv6, both directions."""

from __future__ import annotations

from pcaps._common import HOME6, MAIL6, ethernet, pieces, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(tcp(HOME6, 40001, MAIL6, 25, "PA", bytes(64)), 40),
            *pieces(tcp(MAIL6, 25, HOME6, 40001, "PA", bytes(64)), 40, identification=8),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
