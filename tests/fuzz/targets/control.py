"""Requests on the control socket, by who may use it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any, cast

from aiohttp import web

from edged.control.door import Doors
from edged.control.rights import Rights
from edged.control.server import Service, application
from edged.reception import Reception
from tests.control.conftest import Noting
from tests.fuzz.target import Target

_LOOP = asyncio.new_event_loop()
_OURS, _THEIRS = socket.socketpair(socket.AF_UNIX)  # the peer is this process
_TURNS = 20


class _Transport(asyncio.Transport):
    """A connection that keeps what is said on it."""

    def __init__(self) -> None:
        super().__init__({"socket": _OURS})
        self.said = b""
        self.protocol: asyncio.BaseProtocol | None = None
        self._closing = False

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    resume_reading = pause_reading


async def _doors() -> Doors:
    rights = Rights(os.geteuid(), None, None)
    reception = Reception("control", _OURS)
    runner = web.AppRunner(application(cast("Service", Noting()), lambda: rights, reception), access_log=None)
    await runner.setup()
    assert runner.server is not None
    return Doors(lambda: rights, runner.server)


logging.getLogger("aiohttp").setLevel(logging.CRITICAL + 1)  # as daemon/logs.py
_DOORS = _LOOP.run_until_complete(_doors())


def run(data: bytes) -> None:
    """Answered with a status that is no fault of ours, or not yet."""
    _LOOP.run_until_complete(_converse(data))


async def _converse(data: bytes) -> None:
    transport = _Transport()
    _DOORS().connection_made(transport)
    inside = cast("asyncio.Protocol", transport.protocol)
    inside.data_received(data)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    inside.connection_lost(None)
    await asyncio.sleep(0)
    assert b"HTTP/1.1 500" not in transport.said[:20], transport.said


def _request(method: str, target: str, body: str = "") -> bytes:
    return f"{method} /v1/{target} HTTP/1.1\r\nHost: edged\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


TARGET = Target(
    11,
    run,
    (
        _request("GET", "status"),
        _request("GET", "top?limit=20"),
        _request("POST", "blocklist/test", '{"address": "192.0.2.1"}'),
        _request("POST", "apply", '{"confirm_seconds": 60}'),
        _request("POST", "reload", "{}"),
        b"POST /v1/apply HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ),
)
