"""A capture without a packet."""

from __future__ import annotations

from pcaps._common import pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap([])


if __name__ == "__main__":
    write(__file__, capture())
