"""Takes connections in at the control socket, and sees to it that no one keeps others from being answered.

At most MOST connections are open, each with PATIENCE seconds from the moment it was made, or last answered, to say all that it
wants and to take the answer; how much it may say is limited by the server (64 KiB a body, 128 header lines of 8 KiB).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edged.admission import Admission

_log = logging.getLogger(__name__)

MOST = 64
PATIENCE = 5.0
_SWEEP_SECONDS = 1.0
_SCARCE_SECONDS = 0.2  # no descriptor was left for a connection


class Reception:
    """The connections of one listening socket; for one event loop."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._admission = Admission[asyncio.BaseTransport](MOST, PATIENCE)
        self._room = asyncio.Event()
        self._room.set()

    @contextmanager
    def answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """The connection has said what it wants: it is not sent away before it is answered."""
        if transport is None:  # it is gone already
            yield
            return
        self._admission.begin(transport)
        try:
            yield
        finally:
            self._admission.end(transport, asyncio.get_running_loop().time())
            self._room.set()

    async def run(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Take connections in until cancelled."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            while True:
                await self._await_room()
                await self._take_one(protocol)
        finally:
            sweeping.cancel()

    async def _await_room(self) -> None:
        self._forget_closed()
        while not self._admission.has_room:
            self._room.clear()
            await self._room.wait()
            self._forget_closed()

    async def _take_one(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        try:
            taken, _ = await loop.sock_accept(self._listener)
        except OSError as error:
            _log.warning("control: no connection can be taken for now: %s", error)
            self._send_away_all()
            await asyncio.sleep(_SCARCE_SECONDS)
            return
        try:
            transport, _ = await loop.connect_accepted_socket(protocol, taken)
        except OSError as error:
            _log.warning("control: a connection cannot be served: %s", error)
            taken.close()
            return
        self._send_away(self._admission.admit(transport, loop.time()))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._forget_closed()
            self._send_away(*self._admission.overdue(asyncio.get_running_loop().time()))

    def _forget_closed(self) -> None:
        for transport in self._admission.guests:
            if transport.is_closing():
                self._admission.leave(transport)

    def _send_away_all(self) -> None:
        """Descriptors have run out: those who only wait give theirs back."""
        self._send_away(*self._admission.overdue(float("inf")))

    @staticmethod
    def _send_away(*transports: asyncio.BaseTransport | None) -> None:
        for transport in transports:
            if isinstance(transport, asyncio.WriteTransport):
                with suppress(OSError):
                    transport.abort()
