"""The operator's own scan for open resolvers."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, QUERY, STRANGER, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp("192.0.2.53", 40001, HOME, 53, QUERY),
            udp(HOME, 53, "192.0.2.53", 40001, ANSWER),
            udp(STRANGER, 40001, HOME, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
