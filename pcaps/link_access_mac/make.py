"""The access side told by its MAC."""

from __future__ import annotations

from pcaps._common import HOME, NEXT_DOOR, UPSTREAM_MAC, ethernet, frame, mixed, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet([*mixed(), frame(tcp(HOME, 40007, NEXT_DOOR, 80), UPSTREAM_MAC)])


if __name__ == "__main__":
    write(__file__, capture())
