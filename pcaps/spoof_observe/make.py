"""Forged sources with `mode: observe`."""

from __future__ import annotations

from pcaps._common import HOME, STRANGER6, WEB, WEB6, ethernet, ping, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp("203.0.113.200", 40001, WEB, 80),
            ping(STRANGER6, WEB6),
            tcp(HOME, 40001, WEB, 80),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
