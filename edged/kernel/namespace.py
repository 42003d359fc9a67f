"""Netlink sockets in the present or in a named network namespace."""

from __future__ import annotations

import os
import socket

from edged.errors import KernelError

_NETNS_FOLDER = "/run/netns"  # where `ip netns add` keeps its names
_CLONE_NEWNET = 0x40000000


def open_netlink(protocol: int, netns: str | None) -> socket.socket:
    """A bound netlink socket in that namespace. Raises KernelError where there is no such namespace, or netlink is shut off."""
    try:
        return _open(protocol) if netns is None else _open_inside(protocol, netns)
    except OSError as failed:
        where = f" in network namespace {netns}" if netns else ""
        raise KernelError(f"cannot open a netlink socket{where}: {failed}", errno=failed.errno or 0) from failed


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.bind((0, 0))
    return opened


def _open_inside(protocol: int, netns: str) -> socket.socket:
    """A thread of its own enters the namespace, opens the socket and ends; the process stays where it is."""
    import ctypes  # noqa: PLC0415 - os.setns comes with Python 3.12 only
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 15 ms that only this path needs

    def enter() -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        namespace = os.open(f"{_NETNS_FOLDER}/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(namespace, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(namespace)
        return _open(protocol)

    with ThreadPoolExecutor(max_workers=1) as worker:
        return worker.submit(enter).result()
