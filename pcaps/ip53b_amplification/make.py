"""Queries for amplification at a subscriber's open resolver."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, QUERY, RESOLVER, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(udp(f"198.19.66.{last}", 40001, HOME, 53, QUERY) for last in range(1, 6)),
            udp(HOME, 40002, RESOLVER, 53, QUERY),
            udp(RESOLVER, 53, HOME, 40002, ANSWER),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
