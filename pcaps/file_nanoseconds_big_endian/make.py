"""A pcap with nanoseconds, of a big-endian machine."""

from __future__ import annotations

from pcaps._common import frame, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap((frame(each) for each in mixed()), order=">", nanoseconds=True)


if __name__ == "__main__":
    write(__file__, capture())
