"""Static addresses send and receive mail."""

from __future__ import annotations

from pcaps._common import MAIL, MAIL6, OFFICE, OFFICE6, STRANGER, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(OFFICE, 40001, MAIL, 25),
            *conversation(STRANGER, 40001, "198.51.100.25", 25),
            *conversation(OFFICE6, 40001, MAIL6, 25),
            *conversation("203.0.113.70", 40001, MAIL, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
