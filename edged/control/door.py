"""The door of the control socket: whoever has no right at all is refused before a byte of theirs is parsed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import cast

from edged.control.messages import Failure
from edged.control.peer import peer_of
from edged.control.rights import Rights, Role
from edged.errors import ExitCode

_log = logging.getLogger(__name__)

MOST_REFUSED = 32  # strangers at a time that are told why, half of what the reception has room for; more are cut off
_PATIENCE = 2.0  # seconds to take the refusal
_QUIET = 1.0  # seconds between lines in the log about strangers, who else could fill it


class Doors:
    """Makes the protocol of each new connection, for asyncio's servers."""

    def __init__(self, rights: Callable[[], Rights], inside: Callable[[], asyncio.Protocol]) -> None:
        self._rights = rights
        self._inside = inside
        self._told = 0.0
        self.refused = 0

    def __call__(self) -> Door:
        """The protocol of one connection."""
        return Door(self)

    def enter(self, transport: asyncio.Transport) -> asyncio.Protocol | str:
        """The protocol for what is behind the door, or what to say in front of it."""
        peer, rights = peer_of(transport.get_extra_info("socket")), self._rights()
        role = rights.role(peer)
        if role is Role.STRANGER:
            now = time.monotonic()
            if now - self._told >= _QUIET:
                self._told = now
                _log.warning("control: a stranger was refused (%s)", peer)
            return rights.refusal(role)
        return self._inside()


class Door(asyncio.Protocol):
    """One connection, until it is known whose it is."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection on, or refuse it."""
        connection = cast("asyncio.Transport", transport)
        entered = self._doors.enter(connection)
        if not isinstance(entered, str):
            connection.set_protocol(entered)
            entered.connection_made(connection)
            return
        if self._doors.refused >= MOST_REFUSED:
            connection.abort()
            return
        self._doors.refused += 1
        self._transport = connection
        connection.write(_refused(entered))
        connection.write_eof()
        # what the peer sends is read and thrown away: closed at once, it would find its own request refused, and no answer
        asyncio.get_running_loop().call_later(_PATIENCE, connection.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the base's signature
        """The refusal was taken, or not."""
        if self._transport is not None:
            self._doors.refused -= 1


def _refused(text: str) -> bytes:
    content: Failure = {"error": text, "exit_code": int(ExitCode.UNREACHABLE), "problems": []}
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
