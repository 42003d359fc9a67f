"""A subscriber with an exemption that holds, and his neighbour without one."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, NEXT_DOOR, NEXT_DOOR6, conversation, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, MAIL, 25),
            *conversation(HOME6, 40001, MAIL6, 25),
            tcp(NEXT_DOOR, 40001, MAIL, 25),
            tcp(NEXT_DOOR6, 40001, MAIL6, 25),
            tcp(MAIL, 25, NEXT_DOOR, 40001, "SA"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
