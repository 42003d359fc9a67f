"""A subscriber forges the address of the monitoring host."""

from __future__ import annotations

from pcaps._common import HOME, MONITORING, WEB, ethernet, tcp, write


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(MONITORING, 40001, WEB, 80),
            tcp("203.0.113.200", 40001, MONITORING, 22),
            tcp(HOME, 40001, MONITORING, 22),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
