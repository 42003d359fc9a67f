"""What wakes the keeper: commits to the ruleset, and the time.

Events only say when to look. What is so is read from the kernel, so a lost event costs a second, not the policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edged.clock import Clock
from edged.daemon.change import InWriter
from edged.daemon.drift import Process, Suspects
from edged.daemon.keeper import Keeper
from edged.errors import KernelError
from edged.kernel.events import NftEvents

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
AUDIT_SECONDS = 30.0


class RulesetWatch:
    """Has the keeper look after each commit and each second, and audit every half minute."""

    def __init__(self, keeper: Keeper, suspects: Suspects, clock: Clock, in_writer: InWriter, events: NftEvents) -> None:
        self._keeper = keeper
        self._suspects = suspects
        self._clock = clock
        self._in_writer = in_writer
        self._events = events
        self._awake = asyncio.Event()
        self.on_bypass: Callable[[], None] = lambda: None  # what may take packets past the rules was changed

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._events.fileno(), self._heard)
        audit_at = self._clock.boottime() + AUDIT_SECONDS
        try:
            while True:
                await self._rest()
                if self._clock.boottime() >= audit_at:
                    await self._in_writer(self._keeper.audit)
                    audit_at = self._clock.boottime() + AUDIT_SECONDS
                else:
                    await self._in_writer(self._keeper.look)
        finally:
            loop.remove_reader(self._events.fileno())

    async def _rest(self) -> None:
        """Until a commit, the next poll, or the next try of what failed."""
        retry_in = self._keeper.retry_in
        if retry_in is not None:
            # while it waits to try again, commits of others are no reason to try earlier
            await asyncio.sleep(min(retry_in, POLL_SECONDS))
            return
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._awake.wait()
        except TimeoutError:
            return
        self._awake.clear()

    def _heard(self) -> None:
        try:
            changes = self._events.read()
        except KernelError as error:
            _log.error("%s; the generation is polled still", error)
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            return
        for change in changes:
            if change.ours:
                self._suspects.note(change.generation, Process(change.process, change.pid))
        if self._events.bypass_changed or self._events.lost:
            self.on_bypass()
        self._awake.set()
