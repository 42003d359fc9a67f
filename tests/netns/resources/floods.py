"""What a peer can do to a listening socket but ask and read the answer. Each flood takes a way to connect, and lasts as told."""

from __future__ import annotations

import random
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol


class Connect(Protocol):
    """A way to connect to a listener; patience in seconds. Raises OSError."""

    def __call__(self, patience: float = 1.0) -> socket.socket: ...


Flood = Callable[[Connect, float], int]  # how many connections it came to


def _opened(connect: Connect, count: int) -> list[socket.socket]:
    found = []
    for _ in range(count):
        with suppress(OSError):
            found.append(connect())
            found[-1].setblocking(False)
    return found


def _close(connections: list[socket.socket]) -> int:
    for each in connections:
        each.close()
    return len(connections)


def silent(connect: Connect, seconds: float) -> int:
    """A thousand connections, never written to."""
    connections = _opened(connect, 1000)
    time.sleep(seconds)
    return _close(connections)


def dribbling(connect: Connect, seconds: float) -> int:
    """Connections that write a byte of an endless request every tenth of a second; new ones in place of those that end."""
    until = time.monotonic() + seconds
    connections: list[socket.socket] = []
    count = 0
    while time.monotonic() < until:
        new = _opened(connect, max(0, 200 - len(connections)))
        for each in new:
            with suppress(OSError):
                each.send(b"GET /v1/status HTTP/1.1\r\nHost: edged\r\nX-")
        count += len(new)
        connections = [each for each in (*connections, *new) if _writes(each, b"x")]
        time.sleep(0.1)
    _close(connections)
    return count


def _writes(connection: socket.socket, octets: bytes) -> bool:
    try:
        connection.send(octets)
    except BlockingIOError:
        return True
    except OSError:
        connection.close()
        return False
    return True


def _pouring(octets: bytes, connect: Connect, seconds: float) -> int:
    """Twenty connections that write this over and over as fast as it is taken, and read nothing."""
    until = time.monotonic() + seconds
    chosen = selectors.DefaultSelector()
    count = 0
    while time.monotonic() < until:
        for each in _opened(connect, 20 - len(chosen.get_map())):
            chosen.register(each, selectors.EVENT_WRITE)
            count += 1
        for key, _ in chosen.select(0.1):
            peer = key.fileobj
            assert isinstance(peer, socket.socket)
            if not _writes(peer, octets):
                chosen.unregister(peer)
        time.sleep(0.001)
    _close([each.fileobj for each in chosen.get_map().values() if isinstance(each.fileobj, socket.socket)])
    return count


_REQUEST = b"GET /%s HTTP/1.1\r\nHost: edged\r\n\r\n"
_GARBAGE = random.Random(20260101).randbytes(16 << 10)  # the same every time

FLOODS: dict[str, Flood] = {
    "silent": silent,
    "dribbling": dribbling,
    "header": partial(_pouring, b"X-Long: " + b"y" * (64 << 10)),
    "headers": partial(_pouring, b"GET / HTTP/1.1\r\n" + b"X-Many: yes\r\n" * 4096),
    "body": partial(
        _pouring, b"POST /v1/apply HTTP/1.1\r\nHost: edged\r\nContent-Length: 99999999999\r\n\r\n" + b"{" * (64 << 10)
    ),
    "pipelined": partial(_pouring, _REQUEST % b"v1/status" * 256),
    "garbage": partial(_pouring, _GARBAGE),
}
