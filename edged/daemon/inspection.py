"""The inspectors over the daemon's life: others are started where a reload asks for it, and the counts go on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from threading import Lock
from typing import TypeVar

from edged.inspectors.post import QueueFigures, State
from edged.inspectors.workers import Workers
from edged.marks import MarkFields

_PROGRAM = (sys.executable, "-I", "-m", "edged.inspectors")

Name = TypeVar("Name")


class Inspection:
    """The workers there are, and what those before them counted. One thread starts and stops; any may ask for figures."""

    def __init__(self) -> None:
        self._lock = Lock()  # so that nobody sees the counts of workers that end twice, or not at all
        self._workers: Workers | None = None
        self._before: tuple[QueueFigures, ...] = ()

    def start(self, queues: int, marks: MarkFields, hosts: bytes) -> None:
        """Have that many queues inspected, from number 0 up; nobody is at work yet. Raises KernelError, OSError."""
        workers = Workers.start(_PROGRAM, range(queues), marks, hosts)
        with self._lock:
            self._workers = workers

    def stop(self) -> None:
        """End the workers; every packet has gone on when this returns."""
        if self._workers is None:
            return
        self._workers.stop()
        with self._lock:
            self._before = added(self._before, self._workers.figures())
            self._workers = None

    def figures(self) -> tuple[QueueFigures, ...]:
        """Every queue there has been, by number, with its counts since the daemon began."""
        with self._lock:
            return added(self._before, self._workers.figures() if self._workers is not None else ())


def added(before: Iterable[QueueFigures], now: Iterable[QueueFigures]) -> tuple[QueueFigures, ...]:
    """The counts of both, queue by queue; the state is that of now, ENDED where there is no such queue now."""
    sums = {each.queue: replace(each, state=State.ENDED) for each in before}
    for each in now:
        past = sums.get(each.queue)
        sums[each.queue] = each if past is None else _sum(past, each)
    return tuple(sums[queue] for queue in sorted(sums))


def _sum(before: QueueFigures, now: QueueFigures) -> QueueFigures:
    return replace(
        now,
        packets=_sums(before.packets, now.packets),
        flows=_sums(before.flows, now.flows),
        restarts=before.restarts + now.restarts,
        lags=before.lags + now.lags,
    )


def _sums(before: Mapping[Name, int], now: Mapping[Name, int]) -> Mapping[Name, int]:
    return {name: before.get(name, 0) + count for name, count in now.items()}
