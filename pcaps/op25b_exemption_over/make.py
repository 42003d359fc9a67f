"""A subscriber whose exemption is over."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, conversation, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(HOME, 40001, MAIL, 25),
            tcp(HOME6, 40001, MAIL6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
