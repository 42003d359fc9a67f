"""What stands around the table: the interfaces of the configuration, and other programs' flowtables on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing

from edged.daemon.report import interfaces
from edged.errors import KernelError
from edged.kernel.events import LinkEvents
from edged.kernel.nftsocket import DumpTornError, NftSocket
from edged.kernel.probe import Flowtable, foreign_flowtables
from edged.loader import Configuration

_log = logging.getLogger(__name__)

_REFRESH_SECONDS = 30.0


class Surroundings:
    """Knows which interfaces are there and which flowtables hide flows on them; tells the log when that changes."""

    def __init__(self, events: LinkEvents, configuration: Callable[[], Configuration]) -> None:
        self.present: frozenset[str] = frozenset()
        self.flowtables: tuple[str, ...] = ()
        self._events = events
        self._configuration = configuration
        self._told: dict[str, bool] = {}

    def refresh(self) -> None:
        """Look anew; what was known stays known where the kernel cannot be read."""
        try:
            self.present = self._events.interfaces()
            flowtables = _flowtables()
        except (KernelError, OSError) as error:
            _log.error("cannot look at the interfaces and flowtables: %s", error)
            return
        now = interfaces(self._configuration(), self.present)
        self._tell(now)
        hiding = tuple(str(each) for each in flowtables if any(_is_of(device, name) for device in each.devices for name in now))
        for new in set(hiding) - set(self.flowtables):
            _log.warning("flowtable %s of another program hides flows from every rule", new)
        self.flowtables = hiding

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._events.fileno(), self._heard)
        try:
            while True:
                await asyncio.sleep(_REFRESH_SECONDS)
                self.refresh()
        finally:
            loop.remove_reader(self._events.fileno())

    def _heard(self) -> None:
        try:
            changed = self._events.read()
        except KernelError as error:
            _log.error("%s; the interfaces are looked at every half minute still", error)
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            return
        if changed:
            self.refresh()

    def _tell(self, now: dict[str, bool]) -> None:
        for name, there in now.items():
            if there and self._told.get(name) is False:
                _log.info("interface %s is there now", name)
            elif not there and self._told.get(name, True):
                _log.warning("interface %s is not there; its rules wait for it", name)
        self._told = now


def _is_of(device: str, name: str) -> bool:
    return device.startswith(name[:-1]) if name.endswith("*") else device == name


def _flowtables() -> tuple[Flowtable, ...]:
    with closing(NftSocket()) as nft:
        try:
            return foreign_flowtables(nft)
        except DumpTornError:  # somebody commits just now; the next look is soon
            return ()
