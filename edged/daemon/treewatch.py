"""What wakes the capper beside the time: changes that others make to the devices of the files and to their queueing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from edged.clock import Clock
from edged.daemon.drift import UNKNOWN, Process
from edged.daemon.strangers import DEAF_SECONDS, Strangers
from edged.errors import KernelError
from edged.kernel.treeevents import Touch, TreeEvents

_log = logging.getLogger(__name__)

_PIDS = 1 << 22  # PID_MAX_LIMIT (linux/threads.h); other ports are the kernel's own choice


class TreeWatch:
    """Notes who touched a device; for one event loop. `awake` is set when there is something to look at, and it is time to."""

    def __init__(self, events: TreeEvents, strangers: Strangers, devices: Callable[[], Collection[str]], clock: Clock) -> None:
        """`devices` tells the names of the devices that have, or are to have, a tree."""
        self.awake = asyncio.Event()
        self._events = events
        self._strangers = strangers
        self._devices = devices
        self._clock = clock
        self._numbers: dict[str, int] = {}  # those by which the devices were known last; of one that is away, as long as it is

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        self._numbers = _numbered(self._devices())  # else the first device to go would not be known
        loop.add_reader(self._events.fileno(), self._heard)
        try:
            await loop.create_future()
        finally:
            loop.remove_reader(self._events.fileno())

    def _heard(self) -> None:
        try:
            touches = self._events.read()
        except KernelError as error:
            _log.error("%s; the devices' queueing is looked at every %.0f s still", error, DEAF_SECONDS)
            self._strangers.deafen(str(error))
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            return
        self._note(touches)
        if self._strangers.is_due(self._clock.boottime()):
            self.awake.set()

    def _note(self, touches: Iterable[Touch]) -> None:
        devices = self._devices()
        # A device that has gone, or has another name, is known by what it was, and the kernel may tell of its end bit by bit; one
        # that has come is known by what it is now.
        before = self._numbers
        self._numbers = {name: number for name, number in (before | _numbered(devices)).items() if name in devices}
        names = {number: name for known in (before, self._numbers) for name, number in known.items()}
        for touch in touches:
            if (name := names.get(touch.ifindex)) is not None:
                self._strangers.note(name, process_of(touch.port))
        if self._events.lost:
            for name in devices:
                self._strangers.note(name, UNKNOWN)


def process_of(port: int) -> Process:
    """The process behind a netlink port, as far as that can be told.

    A process that has ended, or that /proc hides from this one (ProtectProc=), has a pid and no name.
    """
    if not 0 < port < _PIDS:
        return UNKNOWN
    try:
        return Process(Path(f"/proc/{port}/comm").read_text().strip(), port)
    except OSError:
        return Process(UNKNOWN.name, port)


def _numbered(devices: Iterable[str]) -> dict[str, int]:
    found = {}
    for name in devices:
        with suppress(OSError):  # it is not there
            found[name] = socket.if_nametoindex(name)
    return found
