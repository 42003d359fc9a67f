"""Port 25 with `mode: observe`."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, MAIL, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
