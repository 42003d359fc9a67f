"""The first and last addresses of the pools, and their neighbours."""

from __future__ import annotations

from pcaps._common import MAIL, MAIL6, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(f"203.0.113.{last}", 40001, MAIL, 25) for last in (0, 63, 64, 79, 80, 127, 128)),
            tcp("2001:db8:c:ffff:ffff:ffff:ffff:ffff", 40001, MAIL6, 25),
            tcp("2001:db8:d::", 40001, MAIL6, 25),
            tcp("2001:db8:d:ffff:ffff:ffff:ffff:ffff", 40001, MAIL6, 25),
            tcp("2001:db8:e::", 40001, MAIL6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
