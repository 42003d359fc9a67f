"""Connections that are opened all the time through the gateway, and one that goes on: how long each took."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

from edged.lab.topology import Topology

_PORT = 9000
_GAP = 0.005
_PIECE = bytes(1000)
_PATIENCE = 5.0


class Openings:
    """From entering the context to leaving it; times are in seconds."""

    def __init__(self, topology: Topology) -> None:
        self.opened: list[float] = []  # from a connection's first packet until it is there
        self.first_words: list[float] = []  # and until the server's first words are, which are inspected
        self.answered: list[float] = []  # a piece's way over the connection that goes on
        self._topology = topology
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failed: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()
        if self._failed is not None and error is None:
            raise self._failed

    def _run(self) -> None:
        there = (str(self._topology.web.ipv4), _PORT)
        try:
            with self._topology.web.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(there)
                listener.listen(64)
                with self._connected(there) as lasting, listener.accept()[0] as answering:
                    while not self._ending.is_set():
                        began = time.monotonic()
                        self._open_one(there, listener)
                        started = time.monotonic()
                        answering.sendall(_PIECE)
                        assert lasting.recv(len(_PIECE), socket.MSG_WAITALL) == _PIECE
                        self.answered.append(time.monotonic() - started)
                        time.sleep(max(0.0, began + _GAP - time.monotonic()))
        except Exception as failed:  # noqa: BLE001  raised again where the context ends
            self._failed = failed

    def _open_one(self, there: tuple[str, int], listener: socket.socket) -> None:
        began = time.monotonic()
        with self._connected(there) as opened:
            self.opened.append(time.monotonic() - began)
            with listener.accept()[0] as accepted:
                accepted.sendall(_PIECE)
                assert opened.recv(len(_PIECE), socket.MSG_WAITALL) == _PIECE
            self.first_words.append(time.monotonic() - began)

    def _connected(self, there: tuple[str, int]) -> socket.socket:
        made = self._topology.dynamic.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(_PATIENCE)
        made.connect(there)
        return made


def percentile(times: list[float], share: float) -> float:
    """What this share of the times is at most."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
