"""Mail between subscribers with `scope: all`."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, NEXT_DOOR, OFFICE6, conversation, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, "198.51.100.25", 25),
            tcp(HOME, 40002, NEXT_DOOR, 25),
            tcp(HOME6, 40003, OFFICE6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
