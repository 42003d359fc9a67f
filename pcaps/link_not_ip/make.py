"""Frames that hold no IP packet."""

from __future__ import annotations

from scapy.layers.l2 import ARP, LLC, STP, Dot3, Ether
from scapy.layers.ppp import PPPoED

from pcaps._common import ACCESS_MAC, UPSTREAM_MAC, frame, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    arp = Ether(src=UPSTREAM_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=UPSTREAM_MAC, psrc="198.18.0.1", pdst="198.18.0.2")
    bridge = Dot3(src=UPSTREAM_MAC, dst="01:80:c2:00:00:00") / LLC() / STP(rootmac=UPSTREAM_MAC, bridgemac=UPSTREAM_MAC)
    dial = frame(PPPoED(code=9), ACCESS_MAC)
    frames = [frame(each) for each in mixed()]
    return pcap([arp, *frames[:3], bridge, *frames[3:], dial])


if __name__ == "__main__":
    write(__file__, capture())
