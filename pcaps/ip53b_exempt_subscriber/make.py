"""A subscriber who runs a name server on a dynamic address."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, NEXT_DOOR, QUERY, STRANGER, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(STRANGER, 40001, HOME, 53, QUERY),
            udp(HOME, 53, STRANGER, 40001, ANSWER),
            udp(STRANGER, 40001, NEXT_DOOR, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
