"""An old resolver that asks from port 53."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, QUERY, RESOLVER, ethernet, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            udp(HOME, 53, RESOLVER, 53, QUERY),
            udp(RESOLVER, 53, HOME, 53, ANSWER),
            udp("198.18.53.2", 53, HOME, 53, ANSWER),
            udp(RESOLVER, 5353, HOME, 53, ANSWER),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
