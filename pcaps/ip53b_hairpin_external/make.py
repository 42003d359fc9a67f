"""A query between subscribers with `scope: external`."""

from __future__ import annotations

from pcaps._common import HOME, NEXT_DOOR, QUERY, STRANGER, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(NEXT_DOOR, 40001, HOME, 53, QUERY),
            udp(STRANGER, 40001, HOME, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
