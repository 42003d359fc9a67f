"""Time as an argument: the one place that reads the system's clocks.

Wall time can be set back and forth, so only dates are compared with it. Every length of time is measured on CLOCK_BOOTTIME,
which nobody sets and which goes on while the machine sleeps; it starts anew with each boot, which `boot_id` tells apart.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """The clocks that edged asks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def boottime(self) -> float:
        """Seconds since the machine was booted."""
        ...

    def boot_id(self) -> str:
        """A name for the present boot; empty where the machine does not tell."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def boottime(self) -> float:
        """Seconds since the machine was booted."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """A name for the present boot; empty where the machine does not tell."""
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return ""
