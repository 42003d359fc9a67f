"""How many costly things may be done in a second, whatever the network sends."""

from __future__ import annotations

SECOND = 1_000_000_000


class Allowance:
    """So many a second of the caller's clock, in nanoseconds; `refused` counts what was beyond."""

    def __init__(self, a_second: int) -> None:
        self._a_second = a_second
        self._second = 0
        self._spent = 0
        self.refused = 0

    def takes(self, now: int) -> bool:
        """Whether one more may be done now."""
        second = now // SECOND
        if second != self._second:
            self._second, self._spent = second, 0
        if self._spent >= self._a_second:
            self.refused += 1
            return False
        self._spent += 1
        return True
