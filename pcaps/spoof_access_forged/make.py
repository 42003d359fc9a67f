"""Subscribers send with addresses that are not theirs."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, QUERY, RESOLVER, STRANGER, STRANGER6, WEB, WEB6, ethernet, ping, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp("203.0.113.200", 40001, WEB, 80),
            udp(STRANGER, 40001, RESOLVER, 53, QUERY),
            tcp("203.0.113.200", 40001, MAIL, 25),
            ping(STRANGER6, WEB6),
            tcp(HOME, 40001, WEB, 80),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
