"""An address of a confidential list."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, ethernet, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, "192.0.2.65", 443),
            tcp(HOME, 40001, "192.0.2.66", 443),
            tcp(HOME, 40001, "192.0.2.67", 443),
            tcp("192.0.2.66", 443, HOME, 40001, "SA"),
            udp(HOME6, 40001, "2001:db8:a::66", 443),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
