"""A capture that ends in the middle of a packet."""

from __future__ import annotations

from pcaps._common import ethernet, mixed, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(mixed())[:-9]


if __name__ == "__main__":
    write(__file__, capture())
