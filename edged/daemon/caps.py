"""Watches over caps: has the capper tick, and keeps the workers that inspect flows to the configuration in force."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from edged.daemon.bulk import BulkWatch
from edged.daemon.capper import Capper, caps_of
from edged.daemon.capsreport import CapsView
from edged.daemon.change import InWriter
from edged.daemon.inspection import Inspection
from edged.daemon.uninspected import Uninspected
from edged.errors import EdgedError
from edged.loader import Configuration
from edged.marks import MarkFields
from edged.policies.capping import BY_CONTENT
from edged.ruleset.observed import CounterValue
from edged.ruleset.tree import Counter

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
_BUILD_SECONDS = 0.01
BULK_SECONDS = 1.0
_RETRY_SECONDS = 5.0


class _Wanted(NamedTuple):
    queues: int
    marks: MarkFields
    hosts: bytes


class CapsWatch:
    """Ticks until cancelled; for one event loop.

    `configuration` tells what is in force, None where nothing is; `awake` is set where a tick is due ahead of its time.
    """

    def __init__(
        self,
        capper: Capper,
        bulk: BulkWatch,
        in_writer: InWriter,
        configuration: Callable[[], Configuration | None],
        awake: asyncio.Event,
        uninspected: Uninspected,
        *,
        has_queues: bool,
    ) -> None:
        self._capper = capper
        self._bulk = bulk
        self._in_writer = in_writer
        self._configuration = configuration
        self._awake = awake
        self._uninspected = uninspected
        self._has_queues = has_queues
        self._inspection = Inspection()
        self._wanted: _Wanted | None = None
        self._seen: Configuration | None = None
        self._trouble = ""  # why no flow is inspected
        self._retry_at = 0.0

    def view(self, totals: Mapping[Counter, CounterValue]) -> CapsView:
        """How it stands, with the counters' totals as they were just read, or none; any thread may ask."""
        figures = self._inspection.figures()
        state, strangers = self._capper.state, self._capper.strangers.state
        uninspected = self._uninspected.count(totals, figures)
        found, no_bulk = self._bulk.found, self._bulk.trouble
        return CapsView(state, figures, uninspected, self._has_queues, self._trouble, no_bulk, found, strangers)

    async def prepare(self, configuration: Configuration) -> None:
        """Have the workers at their queues before any rule sends to them: the kernel drops what comes while it makes one."""
        await asyncio.to_thread(self._inspect, configuration)
        self._seen = configuration

    async def release(self) -> tuple[str, ...]:
        """Nobody is capped, and edged's queueing is gone; the devices that it was on. Raises KernelError."""
        return await self._in_writer(self._capper.release)

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        bulk_at = 0.0
        try:
            while True:
                configuration = self._configuration()
                if configuration is not self._seen or (self._trouble and loop.time() >= self._retry_at):
                    self._seen = configuration
                    await asyncio.to_thread(self._inspect, configuration)
                    self._retry_at = loop.time() + _RETRY_SECONDS
                await self._in_writer(self._tick)
                if loop.time() >= bulk_at:
                    bulk_at = loop.time() + BULK_SECONDS
                    await asyncio.to_thread(self._bulk.sample, configuration)
                await self._rest()
        finally:
            await asyncio.to_thread(self._inspection.stop)

    async def _rest(self) -> None:
        """Until the next tick; while a pool is made, no longer than others need for their turn in the writer's thread."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BUILD_SECONDS if self._capper.is_pressed else TICK_SECONDS):
                await self._awake.wait()
        self._awake.clear()

    def _tick(self) -> None:
        """By what is in force when the writer comes to it: what was torn down meanwhile must not be made once more."""
        self._capper.tick(self._configuration())

    def _inspect(self, configuration: Configuration | None) -> None:
        """Have the workers that this configuration asks for. Raises nothing: flows pass uninspected instead."""
        wanted = _wanted(configuration) if self._has_queues else None
        if wanted == self._wanted and not self._trouble:
            return
        self._inspection.stop()
        self._wanted, self._trouble = wanted, ""
        if wanted is None:
            return
        try:
            self._inspection.start(*wanted)
        except (EdgedError, OSError) as error:
            self._trouble = str(error)
            _log.error("flows are not inspected: %s", error)


def _wanted(configuration: Configuration | None) -> _Wanted | None:
    caps = caps_of(configuration)
    if configuration is None or caps is None or not any(caps.cap(each) for each in BY_CONTENT):
        return None
    hosts = "\n".join(sorted(configuration.streaming_hosts.suffixes)).encode()
    return _Wanted(caps.queues, configuration.site().marks, hosts)
