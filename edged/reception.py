"""Takes connections in for a web application, and sees to it that no one keeps others from being answered.

At most MOST connections are open at a listener, each for one request, with PATIENCE seconds to say all of it, and as many to take
the answer. How much it may say is the server's to limit: 128 header lines of 8 KiB (aiohttp), and the application's largest body.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edged.admission import Admission

_log = logging.getLogger(__name__)

MOST = 64
PATIENCE = 5.0
_READ_SIZE = 4096
_SWEEP_SECONDS = 1.0
_SCARCE_SECONDS = 0.2  # no descriptor was left for a connection


class Reception:
    """The connections of one listening socket, which does not block; for one event loop. `name` is for the log."""

    def __init__(self, name: str, listener: socket.socket) -> None:
        self._name = name
        self._listener = listener
        self._admission = Admission[asyncio.BaseTransport](MOST, PATIENCE)
        self._room = asyncio.Event()
        self._room.set()

    def guard(self, application: web.Application) -> None:
        """Put the application behind this reception; before it serves."""
        application.middlewares.insert(0, _once)
        application.middlewares.append(self._heard_out())

    def _heard_out(self) -> Middleware:
        """Has a request whole before anything is done for it: while it is still being said, its connection can be sent away."""

        @web.middleware
        async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                await request.read()
            except (OSError, web.RequestPayloadError) as error:
                raise web.HTTPBadRequest(text="the request ended before it was whole; nothing was done") from error
            with self._answering(request.transport):
                return await handler(request)

        return handle

    @contextmanager
    def _answering(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        if transport is None:  # it is gone already
            yield
            return
        self._admission.begin(transport)
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()  # it has no more to say that anybody would hear
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
        while self._admission.is_busy:
            self._room.clear()
            await self._room.wait()
            self._forget_closed()

    async def _take_one(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        try:
            taken, _ = await loop.sock_accept(self._listener)
        except OSError as error:
            _log.warning("%s: no connection can be taken for now: %s", self._name, error)
            self._send_away_all()
            await asyncio.sleep(_SCARCE_SECONDS)
            return
        try:
            transport, _ = await loop.connect_accepted_socket(protocol, taken)
        except OSError as error:
            _log.warning("%s: a connection cannot be served: %s", self._name, error)
            taken.close()
            return
        # asyncio reads 256 KiB at a time (selector_events.py), which aiohttp makes thousands of requests of before it answers one
        transport.max_size = _READ_SIZE  # type: ignore[attr-defined]
        # What somebody has said is read before the next connection is taken. Where all have come to be answered while this one
        # was awaited, it is one more than may be.
        gone = None if self._admission.has_room else self._admission.to_go(loop.time(), lambda _: False)
        if gone is not None:
            self._admission.leave(gone)
            self._send_away(gone)
        self._admission.admit(transport, loop.time())

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


@web.middleware
async def _once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One request a connection: of those that were sent after it without reading an answer, none is kept."""
    answer = await handler(request)
    answer.force_close()
    return answer
