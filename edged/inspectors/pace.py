"""Whether a worker keeps up, from what its supervisor sees of it now and then; and how long one that did not is spared.

A packet that waits longer than `LAG_NS` is what must not be. It is either at the worker, or in the socket; and in the socket no
more can wait before it than the queue is long. So, as long as the socket is never seen empty, a worker keeps up if it does with a
queue's length of packets in less than that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SECOND = 1_000_000_000
LAG_NS = 40_000_000  # new flows are to open within 100 ms, for 99 of 100, whatever becomes of a worker
STALLED_NS = 750_000_000
BEGINNING_NS = 30 * SECOND  # packets pass meanwhile; a small machine at boot takes more than ten
_FIRST_WAIT_NS = SECOND // 10
LONGEST_AFTER_LAG_NS = 3 * SECOND  # it may only have had no CPU for a moment
LONGEST_AFTER_FAILURE_NS = 30 * SECOND
_PROVEN_NS = 10 * SECOND


class Sign(NamedTuple):
    """What is seen of a worker: `beat` is when it last began something, `busy` that this was a packet.

    `served` is how many packets it has done with, `backlog` what waits in the socket to be read, in bytes.
    """

    beat: int
    busy: bool
    served: int
    backlog: int


@dataclass(slots=True)
class Pace:
    """One worker's, while packets wait for it; `length` is the queue's."""

    length: int
    _since: int | None = None  # when packets were first seen to wait that may wait still
    _served: int = 0  # and how many were done with then

    def lags(self, now: int, sign: Sign) -> bool:
        """Whether a packet may have waited too long for this worker."""
        if sign.busy and now - sign.beat > LAG_NS:
            return True
        if not sign.backlog:
            self._since = None
            return False
        if self._since is None or sign.served - self._served >= self.length:
            self._since, self._served = now, sign.served
        return now - self._since > LAG_NS


def is_idle(sign: Sign) -> bool:
    """Whether it has done with everything that came."""
    return not sign.busy and not sign.backlog


def is_stalled(now: int, sign: Sign) -> bool:
    """Whether it has not shown a sign of life for so long that it is to be ended."""
    return now - sign.beat > STALLED_NS


@dataclass(slots=True)
class Backoff:
    """How long packets pass after a worker lagged or failed: longer each time, until one has kept up for ten seconds."""

    longest_ns: int
    _failures: int = 0

    def after(self, kept_up_ns: int) -> int:
        """Nanoseconds, where it kept up for that long before."""
        self._failures = 0 if kept_up_ns >= _PROVEN_NS else self._failures
        wait: int = min(_FIRST_WAIT_NS << self._failures, self.longest_ns)
        self._failures = min(self._failures + 1, 16)
        return wait
