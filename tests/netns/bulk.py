"""Bulk TCP transfers through the lab's gateway, and how fast each one goes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edged.addresses import Family
from edged.lab.topology import Host
from tests.netns.topology import INET

Way = tuple[tuple[Host, Host], Family]  # from whom to whom, over which family

_CHUNK = bytes(1 << 16)
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; TCP keeps it by itself


@dataclass(slots=True)
class Transfer:
    """One connection under way; `received` counts its bytes as they come in."""

    received: int = 0


def _send(sender: socket.socket, opening: bytes) -> None:
    with contextlib.suppress(OSError):  # the receiver closes when it has seen enough
        sender.sendall(opening)
        while True:
            sender.sendall(_CHUNK)


def _receive(receiver: socket.socket, transfer: Transfer) -> None:
    buffer = bytearray(1 << 18)
    with contextlib.suppress(OSError):
        while size := receiver.recv_into(buffer):
            transfer.received += size


@contextlib.contextmanager
def transfers(ways: Sequence[Way], opening: bytes = b"", *, pace: int | None = None) -> Iterator[list[Transfer]]:
    """A transfer on each way, all at once, for as long as the context lasts; its first bytes are `opening`.

    `pace` is its sender's limit in bits a second.
    """
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []
    made: list[Transfer] = []
    try:
        for (sender, receiver), family in ways:
            listening = receiver.socket(INET[family], socket.SOCK_STREAM)
            opened.append(listening)
            listening.bind((str(receiver.address(family)), 0))
            listening.listen(1)
            sending = sender.socket(INET[family], socket.SOCK_STREAM)
            opened.append(sending)
            sending.bind((str(sender.address(family)), 0))
            if pace is not None:
                sending.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, pace // 8)
            sending.settimeout(10)
            sending.connect(listening.getsockname()[:2])
            sending.settimeout(None)
            accepted, _ = listening.accept()
            opened.append(accepted)
            made.append(Transfer())
            threads.append(threading.Thread(target=_send, args=(sending, opening)))
            threads.append(threading.Thread(target=_receive, args=(accepted, made[-1])))
        for thread in threads:
            thread.start()
        yield made
    finally:
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for each in opened:
            each.close()


def rates(running: Sequence[Transfer], *, warm: float, seconds: float) -> list[float]:
    """What each transfer carries in the next `seconds`, in Mbit/s, once `warm` seconds have passed."""
    time.sleep(warm)
    before = [each.received for each in running]
    start = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return [(each.received - had) * 8 / took / 1e6 for each, had in zip(running, before, strict=True)]


def megabits(ways: Sequence[Way], *, warm: float, seconds: float) -> list[float]:
    """What transfers on these ways carry when they run all at once, in Mbit/s."""
    with transfers(ways) as running:
        return rates(running, warm=warm, seconds=seconds)
