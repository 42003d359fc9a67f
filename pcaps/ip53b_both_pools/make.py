"""Port 53 with both pools covered."""

from __future__ import annotations

from pcaps._common import HOME, OFFICE, OFFICE6, QUERY, STRANGER, STRANGER6, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(STRANGER, 40001, HOME, 53, QUERY),
            udp(STRANGER, 40001, OFFICE, 53, QUERY),
            udp(STRANGER6, 40001, OFFICE6, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
