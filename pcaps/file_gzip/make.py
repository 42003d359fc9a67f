"""A gzipped pcap."""

from __future__ import annotations

from pcaps._common import ethernet, gzipped, mixed, write


def capture() -> bytes:
    """The bytes of the capture."""
    return gzipped(ethernet(mixed()))


if __name__ == "__main__":
    write(__file__, capture())
