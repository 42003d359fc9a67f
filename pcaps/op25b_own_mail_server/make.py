"""Whole conversations with the operator's own mail server."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, OWN_MAIL, OWN_MAIL6, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, OWN_MAIL, 25),
            *conversation(HOME6, 40001, OWN_MAIL6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
