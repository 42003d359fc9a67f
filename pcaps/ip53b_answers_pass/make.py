"""Answers of resolvers outside, asked for or not."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, HOME6, QUERY, RESOLVER, RESOLVER6, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(HOME, 40001, RESOLVER, 53, QUERY),
            udp(RESOLVER, 53, HOME, 40001, ANSWER),
            udp(HOME6, 40001, RESOLVER6, 53, QUERY),
            udp(RESOLVER6, 53, HOME6, 40001, ANSWER),
            udp(RESOLVER, 53, HOME, 40002, ANSWER),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
