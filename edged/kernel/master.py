"""Which device another one is a member of, by sysfs."""

from __future__ import annotations

from pathlib import Path


def master_of(device: str) -> str | None:
    """The bridge, bond or VRF that the device is a member of; None where it is none, or is not there."""
    try:
        return (Path("/sys/class/net") / device / "master").readlink().name
    except OSError:
        return None
