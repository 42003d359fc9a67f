"""What stands around the table: the interfaces of the configuration, and what takes packets of theirs past it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from edged.daemon.report import interfaces
from edged.errors import KernelError
from edged.kernel.bypasses import Bypass, bypasses
from edged.kernel.events import LinkEvents
from edged.kernel.linux import LinuxKernel
from edged.loader import Configuration

_log = logging.getLogger(__name__)

_REFRESH_SECONDS = 30.0
_PAUSE_SECONDS = 1.0  # a gateway with thousands of ppp links has events all the time


class Surroundings:
    """Knows which interfaces are there and what bypasses the rules on them; tells the log when that changes."""

    def __init__(self, kernel: LinuxKernel, events: LinkEvents, configuration: Callable[[], Configuration]) -> None:
        self.present: frozenset[str] = frozenset()
        self.bypasses: tuple[Bypass, ...] = ()
        self.trouble = ""  # why they are known as of an earlier look
        self._kernel = kernel
        self._events = events
        self._configuration = configuration
        self._told: dict[str, bool] = {}
        self._changed = asyncio.Event()

    def refresh(self) -> None:
        """Look anew; what was known stays known where the kernel cannot be read."""
        try:
            self.present = frozenset(name for _, name in socket.if_nameindex())
            now = interfaces(self._configuration(), self.present)
            found = bypasses(self._kernel, tuple(now))
        except (KernelError, OSError) as error:
            if str(error) != self.trouble:
                _log.error("cannot look at the interfaces and at what bypasses the rules on them: %s", error)
            self.trouble = str(error)
            return
        self.trouble = ""
        self._tell(now)
        for each in found:
            if each not in self.bypasses:
                _log.warning("%s: %s; %s", each.what, each.why, each.remedy)
        self.bypasses = found

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._events.fileno(), self._heard)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_REFRESH_SECONDS):
                        await self._changed.wait()
                self._changed.clear()
                await asyncio.to_thread(self.refresh)  # the kernel has it wait while anybody's batch is carried out
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            loop.remove_reader(self._events.fileno())

    def look(self) -> None:
        """Look soon: the ruleset was changed by somebody."""
        self._changed.set()

    def _heard(self) -> None:
        try:
            changed = self._events.read()
        except KernelError as error:
            _log.error("%s; the interfaces are looked at every half minute still", error)
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            return
        if changed:
            self._changed.set()

    def _tell(self, now: dict[str, bool]) -> None:
        for name, there in now.items():
            if there and self._told.get(name) is False:
                _log.info("interface %s is there now", name)
            elif not there and self._told.get(name, True):
                _log.warning("interface %s is not there; its rules wait for it", name)
        self._told = now
