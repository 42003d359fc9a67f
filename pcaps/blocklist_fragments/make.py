"""Pieces of packets to a listed address."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, pieces, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(udp(HOME, 40001, "192.0.2.100", 443, bytes(100)), 40),
            pieces(udp(HOME, 40001, "192.0.2.100", 443, bytes(100)), 40, identification=8)[1],
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
