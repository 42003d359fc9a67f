"""A capture of Linux's `any` device (cooked, version 1)."""

from __future__ import annotations

from scapy.layers.l2 import CookedLinux

from pcaps._common import COOKED, mixed, pcap, write


def capture() -> bytes:
    """The bytes of the capture."""
    return pcap(
        (
            CookedLinux(lladdrlen=6, src=bytes.fromhex("00005e0053010000"), proto=0x86DD if each.version == 6 else 0x800) / each
            for each in mixed()
        ),
        COOKED,
    )


if __name__ == "__main__":
    write(__file__, capture())
