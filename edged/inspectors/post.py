"""One queue number and the worker that is at it, as the supervisor sees them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from edged.inspect.sight import TrafficClass
from edged.inspectors.board import CLASSES, RESULTS, Board, Word
from edged.inspectors.child import Duty, Worker
from edged.inspectors.pace import (
    BEGINNING_NS,
    LONGEST_AFTER_FAILURE_NS,
    LONGEST_AFTER_LAG_NS,
    SECOND,
    STALLED_NS,
    Backoff,
    Pace,
    Sign,
    is_idle,
    is_stalled,
)
from edged.inspectors.queue import Queue

_log = logging.getLogger(__name__)


class State(Enum):
    """Whether flows of the queue are inspected."""

    INSPECTING = "inspecting"
    BEGINNING = "a worker is being started, packets pass"
    LAGGING = "its worker lags, packets pass"
    SPARED = "its worker lagged and has caught up, packets pass for a while"
    WAITING = "its worker failed, packets pass until the next is started"
    ENDED = "nobody looks after it, packets pass"


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """A queue since the supervisor began: packets by what became of them, flows by the class they were found to have."""

    queue: int
    state: State
    packets: Mapping[str, int]
    flows: Mapping[TrafficClass | None, int]
    restarts: int
    lags: int


class Post:
    """Sees to it that the queue has a worker, and that no packet waits where that one is not there, or lags."""

    def __init__(self, queue: Queue, duty: Duty) -> None:
        self.queue = queue
        self.worker: Worker | None = None
        self._duty = duty
        self._board = Board.make()
        self._pace = Pace(duty.length)
        self._after_lag = Backoff(LONGEST_AFTER_LAG_NS)
        self._after_failure = Backoff(LONGEST_AFTER_FAILURE_NS)
        self._state = State.WAITING
        self._since = 0  # when the state began
        self._next = 0  # when packets are to be inspected again
        self._starts = 0
        self._lags = 0

    def look(self, now: int) -> None:
        """Do what the time asks for; `now` is of the monotonic clock, in ns."""
        if self.worker is None:
            if now >= self._next:
                self._start(now)
            return
        sign = self._sign()
        match self._state:
            case State.BEGINNING if sign.beat:
                self._inspect(now)
            case State.BEGINNING if now - self._since > BEGINNING_NS:
                self._lose(now, "did not begin")
            case State.INSPECTING if self._pace.lags(now, sign):
                self._lags += 1
                self._spare(State.LAGGING, now, self._after_lag)
                self.queue.release(self._board.words[Word.LAST])
            case State.INSPECTING | State.LAGGING | State.SPARED if is_stalled(now, sign):
                self._lose(now, "showed no sign of life")
            case State.LAGGING if is_idle(sign):
                self._enter(State.SPARED, now)
            case State.LAGGING if now - self._since > STALLED_NS:
                self._lose(now, "was too slow")
            case State.SPARED if now >= self._next:
                self._inspect(now)

    def gone(self, now: int) -> None:
        """Its worker has ended, though nobody asked it to."""
        if self.worker is not None:
            self._lose(now, self.worker.ending())

    def _lose(self, now: int, how: str) -> None:
        self.clear()
        wait = self._spare(State.WAITING, now, self._after_failure)
        _log.warning(
            "queue %d: its worker %s; flows pass uninspected, the next one is started in %.1f s",
            self.queue.number,
            how,
            wait / SECOND,
        )

    def _spare(self, state: State, now: int, backoff: Backoff) -> int:
        """Let packets pass for a while; how long, in ns."""
        wait = backoff.after(now - self._since if self._state is State.INSPECTING else 0)
        self._next = now + wait
        self._enter(state, now)
        return wait

    def clear(self) -> None:
        """From now on no packet waits, and there is no worker."""
        words = self._board.words
        self.queue.release(words[Word.LAST])
        if self.worker is not None:
            self.worker.end()
            self.worker = None
        unread, last = self.queue.discard()
        words[Word.RELEASED] += unread
        words[Word.LAST] = last or words[Word.LAST]

    def close(self) -> None:
        """End the worker and give the queue up; every packet has gone on."""
        self.clear()
        self.queue.close()
        self._board.close()
        self._state = State.ENDED

    def figures(self) -> QueueFigures:
        """As of now; any thread may ask."""
        words = self._board.words
        return QueueFigures(
            self.queue.number,
            self._state,
            {word.name.lower(): words[word] for word in RESULTS},
            {traffic_class: words[word] for traffic_class, word in CLASSES.items()},
            max(self._starts - 1, 0),
            self._lags,
        )

    def _start(self, now: int) -> None:
        words = self._board.words
        words[Word.BEAT] = words[Word.BUSY] = 0
        try:
            self.worker = Worker.start(self._duty, self.queue, self._board.descriptor)
        except OSError as failed:
            self._lose(now, f"cannot be started ({failed.strerror})")
            return
        self._starts += 1
        self._enter(State.BEGINNING, now)

    def _inspect(self, now: int) -> None:
        self._pace = Pace(self._duty.length)
        self._enter(State.INSPECTING, now)
        self.queue.hold(self._duty.length)

    def _enter(self, state: State, now: int) -> None:
        self._state, self._since = state, now

    def _sign(self) -> Sign:
        words = self._board.words
        return Sign(words[Word.BEAT], bool(words[Word.BUSY]), self._board.served(), self.queue.backlog())
