"""A blocklist with `mode: observe`."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, ping, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, "192.0.2.100", 443),
            udp(HOME, 40001, "192.0.2.100", 443),
            ping(HOME, "192.0.2.100"),
            tcp("192.0.2.100", 443, HOME, 40001, "SA"),
            udp("192.0.2.100", 443, HOME, 40001),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
