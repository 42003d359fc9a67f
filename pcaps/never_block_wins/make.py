"""Port policies do not cut off what never_block names."""

from __future__ import annotations

from pcaps._common import ANSWER, HOME, MONITORING, QUERY, conversation, ethernet, tcp, udp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, MONITORING, 25),
            udp(MONITORING, 40001, HOME, 53, QUERY),
            udp(HOME, 53, MONITORING, 40001, ANSWER),
            tcp(HOME, 40002, "192.0.2.16", 25),
            tcp("192.0.2.16", 25, HOME, 40002, "SA"),
            udp("192.0.2.16", 40001, HOME, 53, QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
