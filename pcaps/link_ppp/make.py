"""A capture of a PPP link."""

from __future__ import annotations

from scapy.packet import Raw

from pcaps._common import PPP_RAW, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap((Raw(b"\xff\x03\x00\x57" if each.version == 6 else b"\xff\x03\x00\x21") / each for each in mixed()), PPP_RAW)


if __name__ == "__main__":
    write(__file__, capture())
