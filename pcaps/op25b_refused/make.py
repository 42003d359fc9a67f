"""A subscriber with a dynamic address knocks at foreign mail servers."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, QUERY, RESOLVER, WEB, ethernet, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, MAIL, 25),
            tcp(HOME, 40002, "198.18.25.2", 25),
            tcp(HOME, 40003, "198.18.25.3", 25),
            tcp(HOME, 40004, WEB, 80),
            udp(HOME, 40005, RESOLVER, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
