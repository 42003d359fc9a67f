"""Port 53 over TCP, both ways."""

from __future__ import annotations

from pcaps._common import HOME, QUERY, RESOLVER, STRANGER, conversation, ethernet, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *conversation(STRANGER, 40001, HOME, 53, ask=QUERY),
            *conversation(HOME, 40001, RESOLVER, 53, ask=QUERY),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
