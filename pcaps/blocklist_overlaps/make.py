"""An address that two lists name, one of them inside a prefix."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001, f"192.0.2.{last}", 443) for last in (127, 128, 200, 201, 255)),
            tcp(HOME, 40001, "198.18.7.7", 443),
            tcp(HOME, 40001, "198.18.7.8", 443),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
