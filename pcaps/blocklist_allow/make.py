"""An allowed address inside a listed prefix."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001, f"192.0.2.{last}", 443) for last in (199, 200, 201)),
            tcp("192.0.2.200", 443, HOME, 40001, "SA"),
            tcp(HOME, 40002, "192.0.2.200", 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
