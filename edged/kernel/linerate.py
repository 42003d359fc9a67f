"""How fast a device's link is, by sysfs: netlink tells it of Ethernet alone, and only in a family of its own."""

from __future__ import annotations

from pathlib import Path

from edged.queueing.tree import Rate

_UNKNOWN = Rate(100_000_000_000)  # what a device that tells no speed is taken for, so that its line slows nobody


def line_rate(device: str) -> Rate:
    """What the device's link carries, where it tells."""
    try:
        megabits = int((Path("/sys/class/net") / device / "speed").read_text())
    except (OSError, ValueError):
        return _UNKNOWN
    return Rate(megabits * 1_000_000) if megabits > 0 else _UNKNOWN
