"""What a process holds of the machine, and how it beats while something is done to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from tests.netns.daemon_process import Systemd

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """A process at one moment; `memory` is resident, in bytes, `cpu` in seconds since it began."""

    memory: int
    descriptors: int
    threads: int
    cpu: float


def usage(pid: int) -> Usage:
    """Of that process alone, without its children."""
    proc = Path(f"/proc/{pid}")
    # the process's name stands in parentheses, and may hold anything
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    resident = int((proc / "statm").read_text().split()[1]) * _PAGE
    return Usage(resident, len(list((proc / "fd").iterdir())), int(fields[17]), (int(fields[11]) + int(fields[12])) / _TICKS)


@dataclass
class Beats:
    """The watchdog's heartbeats that came; seconds."""

    count: int = 0
    longest: float = 0.0  # between two of them


@contextmanager
def beats(systemd: Systemd) -> Iterator[Beats]:
    """Listen to the heartbeats meanwhile; whoever hears nothing for long sees it in `longest` at the end."""
    seen, done = Beats(), Event()

    def listen() -> None:
        last = time.monotonic()
        while not done.is_set():
            if "WATCHDOG=1" in (systemd.hear(0.05) or ""):
                now = time.monotonic()
                seen.count += 1
                seen.longest, last = max(seen.longest, now - last), now
        seen.longest = max(seen.longest, time.monotonic() - last)

    thread = Thread(target=listen)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@dataclass
class Peak:
    """The most that was seen, memory in bytes."""

    memory: int = 0
    descriptors: int = 0

    def take(self, pid: int) -> None:
        now = usage(pid)
        self.memory = max(self.memory, now.memory)
        self.descriptors = max(self.descriptors, now.descriptors)


def slope(samples: list[tuple[float, float]]) -> float:
    """The change of the second per one of the first, by least squares."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
