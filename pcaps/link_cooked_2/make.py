"""A capture of Linux's `any` device (cooked, version 2)."""

from __future__ import annotations

import struct

from scapy.packet import Raw

from pcaps._common import COOKED_2, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""

    def cooked(protocol: int) -> bytes:
        return struct.pack("!HHIHBB8s", protocol, 0, 3, 1, 0, 6, bytes.fromhex("00005e0053010000"))

    return pcap((Raw(cooked(0x86DD if each.version == 6 else 0x800)) / each for each in mixed()), COOKED_2)


if __name__ == "__main__":
    write(__file__, capture())
