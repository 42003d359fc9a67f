"""Netlink sockets in the present or in a named network namespace."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edged.errors import KernelError

NETNS_FOLDER = Path("/run/netns")  # where `ip netns add` keeps its names
_CLONE_NEWNET = 0x40000000


def open_netlink(protocol: int, netns: str | None) -> socket.socket:
    """A bound netlink socket in that namespace. Raises KernelError where there is no such namespace, or netlink is shut off."""
    try:
        if netns is None:
            return _open(protocol)
        # A thread of its own changes its namespace and ends; the process stays where it is.
        with ThreadPoolExecutor(max_workers=1) as worker:
            return worker.submit(_open_inside, protocol, netns).result()
    except OSError as failed:
        where = f" in network namespace {netns}" if netns else ""
        raise KernelError(f"cannot open a netlink socket{where}: {failed}", errno=failed.errno or 0) from failed


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.bind((0, 0))
    return opened


def _open_inside(protocol: int, netns: str) -> socket.socket:
    import ctypes  # noqa: PLC0415 - os.setns comes with Python 3.12 only

    libc = ctypes.CDLL(None, use_errno=True)
    with (NETNS_FOLDER / netns).open("rb") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return _open(protocol)
