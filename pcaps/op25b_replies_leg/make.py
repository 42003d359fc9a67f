"""Answers from port 25 to a subscriber who never asked."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, MAIL, MAIL6, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(MAIL, 25, HOME, 40001, flags) for flags in ("SA", "A", "PA", "FA", "R")),
            *(tcp(MAIL6, 25, HOME6, 40001, flags) for flags in ("SA", "A", "PA", "FA", "R")),
            tcp(MAIL, 587, HOME, 40002, "SA"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
