"""QUIC with a listed address."""

from __future__ import annotations

from pcaps._common import HOME, WEB, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(HOME, 40001, "192.0.2.100", 443),
            udp("192.0.2.100", 443, HOME, 40001),
            udp(HOME, 40001, WEB, 443),
            udp(WEB, 443, HOME, 40001),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
