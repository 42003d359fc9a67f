"""Port 25 with `action: drop`."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, WEB, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001 + number, MAIL, 25) for number in range(3)),
            tcp(HOME6, 40004, MAIL6, 25),
            tcp(HOME, 40005, WEB, 80),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
