"""A subscriber with a second provider."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp("198.51.100.128", 40001, HOME, 40002),
            udp("198.51.100.255", 40001, HOME, 40002),
            udp("198.51.100.127", 40001, HOME, 40002),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
