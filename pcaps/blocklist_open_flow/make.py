"""A connection that was open before its far end was listed."""

from __future__ import annotations

from pcaps._common import HOME, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001, "192.0.2.100", 443, flags, data) for flags, data in (("PA", b"more"), ("A", b""), ("FA", b""))),
            *(tcp("192.0.2.100", 443, HOME, 40001, flags, data) for flags, data in (("PA", b"data"), ("FA", b""), ("RA", b""))),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
