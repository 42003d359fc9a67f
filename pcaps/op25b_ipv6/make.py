"""Port 25 over IPv6."""

from __future__ import annotations

from pcaps._common import HOME6, MAIL6, OFFICE6, OWN_MAIL6, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME6, 40001 + number, MAIL6, 25) for number in range(3)),
            *(tcp(MAIL6, 25, HOME6, 40001, flags) for flags in ("SA", "PA")),
            tcp(OFFICE6, 40001, MAIL6, 25),
            tcp(HOME6, 40004, OWN_MAIL6, 25),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
