"""A capture of IP without any link layer."""

from __future__ import annotations

from pcaps._common import RAW, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap(mixed(), RAW)


if __name__ == "__main__":
    write(__file__, capture())
