"""A capture of the first bytes of each packet."""

from __future__ import annotations

from pcaps._common import frame, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap((frame(each) for each in mixed()), snap=64)


if __name__ == "__main__":
    write(__file__, capture())
