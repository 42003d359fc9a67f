"""A capture of PPPoE sessions behind two VLAN tags."""

from __future__ import annotations

from scapy.layers.l2 import Dot1AD, Dot1Q
from scapy.layers.ppp import PPP, PPPoE

from pcaps._common import ACCESS_MAC, frame, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    tags = (Dot1AD(vlan=200), Dot1Q(vlan=100))
    return pcap(
        frame(each, ACCESS_MAC, *tags, PPPoE(sessionid=7), PPP(proto=0x57 if each.version == 6 else 0x21)) for each in mixed()
    )


if __name__ == "__main__":
    write(__file__, capture())
