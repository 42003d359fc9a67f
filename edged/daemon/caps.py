"""Watches over caps: has the capper tick, and keeps the workers that inspect flows to the configuration in force."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edged.daemon.bulk import BulkWatch
from edged.daemon.capper import Capper
from edged.daemon.change import InWriter
from edged.errors import EdgedError
from edged.inspectors.post import QueueFigures
from edged.inspectors.workers import Workers
from edged.loader import Configuration
from edged.marks import MarkFields
from edged.policies.base import Mode
from edged.policies.capping import BY_CONTENT
from edged.policies.caps import Caps
from edged.queueing.tree import Rate

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
BULK_SECONDS = 1.0
_RETRY_SECONDS = 5.0
_PROGRAM = (sys.executable, "-I", "-m", "edged.inspectors")
_UNKNOWN_LINE = Rate(100_000_000_000)  # what a device that tells no speed is taken for, so that its line slows nobody


class _Wanted(NamedTuple):
    queues: int
    marks: MarkFields
    hosts: bytes


class CapsWatch:
    """Ticks until cancelled; for one event loop. `configuration` tells what is in force, None where nothing is."""

    def __init__(
        self,
        capper: Capper,
        bulk: BulkWatch,
        in_writer: InWriter,
        configuration: Callable[[], Configuration | None],
        *,
        has_queues: bool,
    ) -> None:
        self.trouble = ""  # why no flow is inspected
        self._capper = capper
        self._bulk = bulk
        self._in_writer = in_writer
        self._configuration = configuration
        self._has_queues = has_queues
        self._workers: Workers | None = None
        self._wanted: _Wanted | None = None
        self._seen: Configuration | None = None
        self._retry_at = 0.0

    def figures(self) -> tuple[QueueFigures, ...]:
        """The queues, as of now."""
        return self._workers.figures() if self._workers is not None else ()

    async def prepare(self, configuration: Configuration) -> None:
        """Have the workers at their queues before any rule sends to them: the kernel drops what comes while it makes one."""
        await asyncio.to_thread(self._inspect, configuration)
        self._seen = configuration

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        bulk_at = 0.0
        try:
            while True:
                configuration = self._configuration()
                if configuration is not self._seen or (self.trouble and loop.time() >= self._retry_at):
                    self._seen = configuration
                    await asyncio.to_thread(self._inspect, configuration)
                    self._retry_at = loop.time() + _RETRY_SECONDS
                await self._in_writer(lambda: self._capper.tick(configuration))  # noqa: B023  awaited at once
                if loop.time() >= bulk_at:
                    bulk_at = loop.time() + BULK_SECONDS
                    await asyncio.to_thread(self._bulk.sample, configuration)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            if self._workers is not None:
                await asyncio.to_thread(self._workers.stop)

    def _inspect(self, configuration: Configuration | None) -> None:
        """Have the workers that this configuration asks for. Raises nothing: flows pass uninspected instead."""
        wanted = _wanted(configuration) if self._has_queues else None
        if wanted == self._wanted and not self.trouble:
            return
        if self._workers is not None:
            self._workers.stop()
            self._workers = None
        self._wanted, self.trouble = wanted, ""
        if wanted is None:
            return
        try:
            self._workers = Workers.start(_PROGRAM, range(wanted.queues), wanted.marks, wanted.hosts)
        except (EdgedError, OSError) as error:
            self.trouble = str(error)
            _log.error("flows are not inspected: %s", error)


def _wanted(configuration: Configuration | None) -> _Wanted | None:
    for placed in configuration.policies if configuration is not None else ():
        settings = placed.settings
        if isinstance(settings, Caps) and settings.mode is not Mode.OFF and any(settings.cap(each) for each in BY_CONTENT):
            assert configuration is not None  # noqa: S101  it has a policy
            hosts = "\n".join(sorted(configuration.streaming_hosts.suffixes)).encode()
            return _Wanted(settings.queues, configuration.site().marks, hosts)
    return None


def line_rate(device: str) -> Rate:
    """What the device's link carries, where it tells."""
    try:
        megabits = int((Path("/sys/class/net") / device / "speed").read_text())
    except (OSError, ValueError):
        return _UNKNOWN_LINE
    return Rate(megabits * 1_000_000) if megabits > 0 else _UNKNOWN_LINE
