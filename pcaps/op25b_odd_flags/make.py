"""TCP flags that no honest host sends."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001, MAIL, 25, flags) for flags in ("", "FPU", "SF", "SR", "F", "R", "RA", "SA")),
            *(tcp(MAIL, 25, HOME, 40001, flags) for flags in ("", "FPU", "SF", "SR", "F", "R", "RA", "S")),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
