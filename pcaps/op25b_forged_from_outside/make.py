"""Someone outside sends mail to a server of ours in the name of our subscriber."""

from __future__ import annotations

from pcaps._common import HOME, MAIL, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, "198.51.100.25", 25, "S"),
            tcp(HOME, 40001, "198.51.100.25", 25, "A"),
            tcp(HOME, 40001, "198.51.100.25", 25, "PA", b"MAIL FROM:<>"),
            tcp(MAIL, 40002, "198.51.100.25", 25, "S"),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
