"""The window in which a change waits for `edged confirm`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edged.clock import Clock
from edged.errors import EdgedError

_log = logging.getLogger(__name__)

# how often the clock is looked at: asyncio's own timers stand still while the machine sleeps
_TICK = 1.0


class Window:
    """Calls `at_end` when the time is over, again each second while that fails; for one event loop."""

    def __init__(self, clock: Clock, at_end: Callable[[], Awaitable[None]]) -> None:
        self.until: float | None = None  # CLOCK_BOOTTIME; None where nothing waits
        self._clock = clock
        self._at_end = at_end
        self._task: asyncio.Task[None] | None = None

    def open(self, until: float) -> None:
        """A change waits from now on, until then."""
        self.until = until
        self._task = asyncio.create_task(self._count_down())

    def close(self) -> None:
        """Nothing waits any more; `at_end` may call this too."""
        self.until = None
        self._task = None

    async def _count_down(self) -> None:
        me = asyncio.current_task()
        while self._task is me and self.until is not None:
            left = self.until - self._clock.boottime()
            if left > 0:
                await asyncio.sleep(min(left, _TICK))
                continue
            try:
                await self._at_end()
            # whatever goes wrong here must not end the promise to roll back
            except Exception as error:  # noqa: BLE001
                expected = isinstance(error, EdgedError | OSError)
                _log.error("the rollback failed and is tried again: %s", error, exc_info=None if expected else error)
                await asyncio.sleep(_TICK)
