"""How many packets the rules sent to inspectors and no inspector saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from edged.daemon.totals import Totals
from edged.inspectors.post import QueueFigures
from edged.policies.capping import QUEUED_PACKETS
from edged.ruleset.observed import CounterValue
from edged.ruleset.tree import Counter


class Uninspected:
    """What the kernel counted as sent to queues since the daemon began, less what became of packets there; any thread may ask.

    The kernel does not count what passes a queue that is full, has nobody, or has a reader without room (nfnetlink_queue.c,
    __nfqnl_enqueue_packet; nf_queue.c, nf_queue). Packets on their way when it is asked count too, as many as may wait at most;
    they do not add up, for what is told never goes back.
    """

    def __init__(self, totals: Totals) -> None:
        """To be made before the first worker: what the kernel has counted by then was a daemon's before."""
        totals.declare((QUEUED_PACKETS,))
        self._before = _queued(totals.read()) or 0
        self._told = 0
        self._lock = Lock()

    def count(self, totals: Mapping[Counter, CounterValue], queues: Iterable[QueueFigures]) -> int:
        """As of now; `queues` are read after `totals`. Without totals it is the count of the last time."""
        seen = sum(sum(each.packets.values()) for each in queues)
        queued = _queued(totals)
        with self._lock:
            if queued is not None:
                self._told = max(self._told, queued - self._before - seen)
            return self._told


def _queued(totals: Mapping[Counter, CounterValue]) -> int | None:
    value = totals.get(QUEUED_PACKETS)
    return None if value is None else value.packets
