"""What a mortal process and who wants its death share: a page of numbers in a file. Standard library only.

A point lies before and after each thing that a process does to the kernel or to its files. The process counts the points that it
passes; at the one that the page names it kills itself. The wall clock of the process stands apart from the machine's by as much
as the page says.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import threading
from pathlib import Path

VARIABLE = "EDGED_TEST_METER"  # of the environment: the page's file; read by inside/sitecustomize.py alone
ROOT = Path(__file__).parents[3]

_NUMBER = struct.Struct("=q")
_SECONDS = struct.Struct("=d")
_PASSED, _DEATH, _APART = 0, 8, 16


class Meter:
    """The page in that file, which is made where it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # a process has several threads that pass points
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(descriptor, mmap.PAGESIZE)
            self._page = mmap.mmap(descriptor, mmap.PAGESIZE)
        finally:
            os.close(descriptor)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a Python process, and those that it starts, keep to the page."""
        return {
            VARIABLE: os.fspath(self.path),
            "PYTHONPATH": os.pathsep.join((os.fspath(ROOT / "tests/netns/faults/inside"), os.fspath(ROOT))),
        }

    @property
    def passed(self) -> int:
        """How many points were passed."""
        return int(_NUMBER.unpack_from(self._page, _PASSED)[0])

    def die_after(self, points: int) -> None:
        """Have the process die at the point that is so many from now on, the next being 1."""
        with self._lock:
            _NUMBER.pack_into(self._page, _DEATH, self.passed + points)

    def live(self) -> None:
        """Nobody dies at any point from now on."""
        _NUMBER.pack_into(self._page, _DEATH, 0)

    def point(self) -> None:
        """The process passes a point, or dies there."""
        with self._lock:
            _NUMBER.pack_into(self._page, _PASSED, self.passed + 1)
            if self.passed == _NUMBER.unpack_from(self._page, _DEATH)[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    @property
    def apart(self) -> float:
        """Seconds that the wall clock of the process is ahead of the machine's."""
        return float(_SECONDS.unpack_from(self._page, _APART)[0])

    def step_clock(self, seconds: float) -> None:
        """Set the wall clock of the process ahead, or where that is negative back."""
        _SECONDS.pack_into(self._page, _APART, self.apart + seconds)

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()
