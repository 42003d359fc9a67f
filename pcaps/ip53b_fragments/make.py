"""Large datagrams to and from port 53, in pieces."""

from __future__ import annotations

from pcaps._common import HOME, QUERY, RESOLVER, STRANGER, ethernet, pieces, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *pieces(udp(STRANGER, 40001, HOME, 53, bytes(100)), 40),
            udp(HOME, 40002, RESOLVER, 53, QUERY),
            *pieces(udp(RESOLVER, 53, HOME, 40002, bytes(100)), 40, identification=8),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
