"""Pings in both directions."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, WEB, WEB6, ethernet, ping, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            ping(HOME, WEB),
            ping(WEB, HOME, answer=True),
            ping(WEB, HOME, number=2),
            ping(HOME, WEB, answer=True, number=2),
            ping(HOME6, WEB6),
            ping(WEB6, HOME6, answer=True),
            ping(WEB6, HOME6, number=2),
            ping(HOME6, WEB6, answer=True, number=2),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
