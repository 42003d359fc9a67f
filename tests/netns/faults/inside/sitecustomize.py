"""Python imports this at its start, before edged: the process passes points, and its wall clock can be stepped (faults/meter.py).

edged itself knows nothing of it: the command lines, the modules and the system calls are those of every other run. A point lies
before and after each netlink message that changes something, or that the kernel is to judge, and each step of a file's way to
its name.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from tests.netns.faults.meter import VARIABLE, Meter

_KIND = struct.Struct("=4xH")  # nlmsg_type, after the length
_CT_NEW = 0x100  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW
_GET = 2  # of the four messages of each kind of rtnetlink's: NEW, DEL, GET, SET


def _always(*_arguments: object) -> bool:
    return True


def _changes_something(sender: socket.socket, message: bytes, *_flags: int) -> bool:
    """Whether that is a batch to nftables (NFNL_MSG_BATCH_BEGIN is 16, like RTM_NEWLINK), a mark, or of links and qdiscs."""
    if sender.family != socket.AF_NETLINK:
        return False
    kind: int = _KIND.unpack_from(message)[0]
    return kind == _CT_NEW or (16 <= kind < 0x100 and kind & 3 != _GET)


def _between_points(meter: Meter, owner: object, name: str, counts: Callable[..., bool]) -> None:
    plain = getattr(owner, name)

    def call(*arguments: object, **named: object) -> object:
        if not counts(*arguments):
            return plain(*arguments, **named)
        meter.point()
        answer = plain(*arguments, **named)
        meter.point()
        return answer

    setattr(owner, name, call)


def _keep_to(meter: Meter) -> None:
    _between_points(meter, socket.socket, "send", _changes_something)
    for name in ("fsync", "replace", "unlink"):
        _between_points(meter, os, name, _always)
    machines = time.time
    time.time = lambda: machines() + meter.apart


if VARIABLE in os.environ:
    _keep_to(Meter(Path(os.environ[VARIABLE])))
