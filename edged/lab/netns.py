"""Work inside a network namespace without a process of its own: a thread enters it, and what it opens there stays there.

setns(2) moves one thread, and /proc/sys/net shows the namespace of the thread that reads it (net/sysctl_net.c).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NAMESPACES = Path("/run/netns")

_CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns is only there from Python 3.12 on
_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_RUNNING = 0x40  # linux/if.h: operational, in the words of RFC 2863
_libc = ctypes.CDLL(None, use_errno=True)


def inside(netns: str, work: Callable[[], T]) -> T:
    """What `work` returns when a thread calls it in the namespace; raises OSError where the namespace cannot be entered."""

    def entered() -> T:
        with (NAMESPACES / netns).open("rb") as namespace:
            if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                errno = ctypes.get_errno()
                raise OSError(errno, os.strerror(errno), str(NAMESPACES / netns))
        return work()

    # the thread ends here and is never used again: it would still be in the namespace
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(entered).result()


def open_socket(netns: str, family: socket.AddressFamily, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket of the namespace, for use from any thread."""
    return inside(netns, lambda: socket.socket(family, kind, protocol))


def carries(netns: str, interface: str) -> bool:
    """Whether the interface is up and its link too; before that the kernel throws away what is sent."""
    with open_socket(netns, socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", interface.encode(), 0))
    return bool(struct.unpack("16xH22x", answer)[0] & _IFF_RUNNING)


def set_sysctls(netns: str, values: Mapping[str, str]) -> None:
    """Writes the namespace's own settings, named by their path under /proc/sys."""

    def write() -> None:
        for path, value in values.items():
            Path("/proc/sys", path).write_text(value)

    inside(netns, write)
