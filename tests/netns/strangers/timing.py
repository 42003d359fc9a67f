"""Times of repairs: who is measured must not wait for others' turns, and how the times are told."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import ceil

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
SLACK = 1 if IS_LONG else 5  # the short form shares its machine with other tests


@contextmanager
def undisturbed() -> Iterator[None]:
    """A real-time priority for this thread, and for the processes that begin meanwhile.

    How busy the machine is otherwise is not to be measured. Strangers have it too: while the kernel has one's transaction in
    hand, nobody else's can begin.
    """
    with suppress(PermissionError):  # in a container without CAP_SYS_NICE
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def p99(times: Sequence[float]) -> float:
    """What 99 of 100 do not exceed; of fewer it is the longest."""
    return sorted(times)[ceil(len(times) * 0.99) - 1]


def told(times: Sequence[float]) -> str:
    """Median, p99 and the longest; the times are in milliseconds."""
    return f"{statistics.median(times):.0f} ms (median), {p99(times):.0f} ms (p99), {max(times):.0f} ms at most"
