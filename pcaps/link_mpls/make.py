"""A capture of MPLS."""

from __future__ import annotations

import struct

from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pcaps._common import ACCESS_MAC, GATEWAY_MAC, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    labels = Raw(struct.pack("!II", 100 << 12 | 64, 200 << 12 | 0x100 | 64))
    return pcap(Ether(src=ACCESS_MAC, dst=GATEWAY_MAC, type=0x8847) / labels / each for each in mixed())


if __name__ == "__main__":
    write(__file__, capture())
