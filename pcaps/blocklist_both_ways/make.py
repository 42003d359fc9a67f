"""To listed addresses, and from them."""

from __future__ import annotations

from pcaps._common import HOME, OFFICE, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            *(tcp(HOME, 40001, f"192.0.2.{last}", 443) for last in (95, 96, 104, 111, 112, 119, 120)),
            *(tcp(f"192.0.2.{last}", 40002, HOME, 22) for last in (95, 96, 104, 111, 112, 119, 120)),
            tcp(OFFICE, 40003, "192.0.2.104", 443),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
