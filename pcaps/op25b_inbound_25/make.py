"""A mail server on a dynamic address is reached from outside."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, STRANGER, STRANGER6, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(STRANGER, 40001, HOME, 25),
            *conversation(STRANGER6, 40001, HOME6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
