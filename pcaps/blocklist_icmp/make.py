"""Pings to a listed address, and from one."""

from __future__ import annotations

from pcaps._common import HOME, WEB, ethernet, ping, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            ping(HOME, "192.0.2.100"),
            ping("192.0.2.100", HOME),
            ping("192.0.2.100", HOME, answer=True),
            ping(HOME, WEB),
            ping(WEB, HOME, answer=True),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
