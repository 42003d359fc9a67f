"""A capture with two VLAN tags."""

from __future__ import annotations

from scapy.layers.l2 import Dot1AD, Dot1Q

from pcaps._common import ACCESS_MAC, frame, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap(frame(each, ACCESS_MAC, Dot1AD(vlan=200), Dot1Q(vlan=100)) for each in mixed())


if __name__ == "__main__":
    write(__file__, capture())
