"""Port 53 over IPv6."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME6, OFFICE6, QUERY, RESOLVER6, STRANGER6, ethernet, pieces, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(STRANGER6, 40001, HOME6, 53, QUERY),
            *pieces(udp(STRANGER6, 40002, HOME6, 53, bytes(100)), 40),
            udp(STRANGER6, 40003, OFFICE6, 53, QUERY),
            udp(HOME6, 40004, RESOLVER6, 53, QUERY),
            udp(RESOLVER6, 53, HOME6, 40004, ANSWER),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
