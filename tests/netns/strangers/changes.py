"""Changes of links, qdiscs and classes as the kernel tells of them while they happen."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from edged.kernel import uapi
from edged.kernel.messages import unpack
from edged.kernel.namespace import open_route
from edged.kernel.tcmessages import NEWTCLASS
from edged.queueing.tree import ClassId

_GROUPS = 1, 4  # RTNLGRP_LINK, RTNLGRP_TC (linux/rtnetlink.h)
_BODY = struct.Struct("=4xiI")  # index, and of qdiscs and classes the handle
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_QUIET = 0.15  # s without a change: whatever was to be done is done
_PATIENCE = 20.0


class Change(NamedTuple):
    """When it came (seconds, monotonic), the device's number, the port that asked, and the class that was made or changed."""

    at: float
    device: int
    port: int
    given: ClassId | None


class Changes:
    """Hears of every change in a namespace, from entering the context to leaving it."""

    def __init__(self, netns: str) -> None:
        self._socket = open_route(netns)
        self._heard: list[Change] = []
        self._ends = False
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        for group in _GROUPS:
            self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_ADD_MEMBERSHIP, group)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        self._thread.join()
        self._socket.close()

    def forget(self) -> None:
        """What has come until now is of no interest."""
        self._heard = []

    def until_quiet(self, awaited: Callable[[Change], bool] | None = None) -> list[Change]:
        """What has come since the last time, and comes until what is awaited is among it and there is a pause."""
        until = time.monotonic() + _PATIENCE
        count = -1
        while count != len(self._heard) or (awaited is not None and not any(map(awaited, self._heard))):
            assert time.monotonic() < until, f"it does not come to rest, or never comes: {self._heard[-3:]}"
            count = len(self._heard)
            time.sleep(_QUIET)
        found, self._heard = self._heard, []
        return found

    def _listen(self) -> None:
        buffer = memoryview(bytearray(1 << 16))
        while not self._ends:
            if not select.select([self._socket], [], [], 0.1)[0]:
                continue
            size = self._socket.recv_into(buffer)
            now = time.monotonic()
            for each in unpack(buffer[:size]):
                index, handle = _BODY.unpack_from(each.body)
                self._heard.append(Change(now, index, each.port, ClassId.of(handle) if each.kind == NEWTCLASS else None))
