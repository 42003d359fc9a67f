"""Mail is submitted to port 587 of a foreign server."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, MAIL, 587),
            *conversation(HOME6, 40001, MAIL6, 587),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
