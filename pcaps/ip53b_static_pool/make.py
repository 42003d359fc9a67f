"""Queries to static addresses."""

from __future__ import annotations

from pcaps._common import OFFICE, OFFICE6, QUERY, STRANGER, STRANGER6, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(STRANGER, 40001, OFFICE, 53, QUERY),
            udp(STRANGER, 40001, "203.0.113.70", 53, QUERY),
            udp(STRANGER6, 40001, OFFICE6, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
