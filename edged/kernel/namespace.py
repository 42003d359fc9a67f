"""Netlink sockets in the present or in a named network namespace, and work inside one.

The sockets are pyroute2's, taken before its event loop comes to them: what edged sends and reads is packed and parsed by edged
itself, blocking, in a thread of its choice (pyroute2 0.9.7 would wrap each message into a batch of its own and lose errors).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edged.errors import KernelError

NAMESPACES = Path("/run/netns")  # where `ip netns add` keeps its names

Result = TypeVar("Result")


def open_nftables(netns: str | None) -> socket.socket:
    """A bound socket to nftables in that namespace. Raises KernelError."""
    from pyroute2.netlink.nfnetlink.nftsocket import AsyncNFTSocket  # noqa: PLC0415  200 ms, for those who go to the kernel

    return _open(AsyncNFTSocket, netns)


def open_route(netns: str | None) -> socket.socket:
    """A bound socket to links and addresses in that namespace. Raises KernelError."""
    from pyroute2.netlink.rtnl.iprsocket import AsyncIPRSocket  # noqa: PLC0415  200 ms, for those who go to the kernel

    return _open(AsyncIPRSocket, netns)


def inside(netns: str, work: Callable[[], Result]) -> Result:
    """What `work` returns in that namespace, where what it opens stays. Raises OSError where there is no such namespace."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  workers at queues do without

    from pyroute2.netns import setns  # noqa: PLC0415  200 ms, for those who go to the kernel

    def entered() -> Result:
        # no flags: a namespace that is not there must not be made
        descriptor = os.open(NAMESPACES / netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(descriptor)
        finally:
            os.close(descriptor)
        return work()

    # setns(2) moves one thread; it ends here and is never used again, and the process stays where it is
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(entered).result()


def _open(kind: Callable[[], object], netns: str | None) -> socket.socket:
    def bound() -> socket.socket:
        opened: socket.socket = kind().setup_socket()  # type: ignore[attr-defined]  # pyroute2 has no types
        opened.bind((0, 0))
        return opened

    try:
        return bound() if netns is None else inside(netns, bound)
    except OSError as failed:
        where = f" in network namespace {netns}" if netns else ""
        raise KernelError(f"cannot open a netlink socket{where}: {failed}", errno=failed.errno or 0) from failed
