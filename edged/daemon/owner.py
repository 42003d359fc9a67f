"""The socket that owns the table: the one systemd kept for us where it is still good, else a new one."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager

from edged.daemon.systemd import Systemd
from edged.errors import KernelError
from edged.kernel.linux import LinuxKernel
from edged.ruleset.observed import Ownership

_log = logging.getLogger(__name__)

_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, since Linux 5.14


class _UnusableError(Exception):
    """The inherited descriptor cannot be used; the text says why."""


def open_owner(systemd: Systemd, hush: Callable[[], AbstractContextManager[None]]) -> LinuxKernel:
    """The kernel by the socket that owns, or shall own, the table; systemd keeps it from now on. Raises KernelError."""
    inherited = systemd.take_owner()
    if inherited is not None:
        try:
            return _taken_over(inherited, hush)
        except _UnusableError as why:
            _log.warning("the socket that systemd kept for edged cannot be used, a new one takes its place: %s", why)
    kernel = LinuxKernel(hush=hush)
    # kept before it owns anything: a table with an owner but without persist would go with a process that dies here
    systemd.keep_owner(kernel.fileno())
    return kernel


def _taken_over(descriptor: int, hush: Callable[[], AbstractContextManager[None]]) -> LinuxKernel:
    """Raises _UnusableError; the descriptor is closed then."""
    kernel = None
    try:
        if _namespace(descriptor) != _own_namespace():
            raise _UnusableError("it is of another network namespace")
        kernel = LinuxKernel(fileno=descriptor, hush=hush)
        table = kernel.observe().table
    except (KernelError, OSError) as error:
        _close(descriptor)
        raise _UnusableError(str(error)) from error
    if table is not None and table.ownership is Ownership.ANOTHER:
        kernel.close()
        raise _UnusableError("another socket owns the table")
    found = (
        "no table"
        if table is None
        else f"the table is {'still ours' if table.ownership is Ownership.OURS else table.ownership.value}"
    )
    _log.info("took over the owning socket that systemd kept: %s", found)
    return kernel


def _own_namespace() -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        return _namespace(ours.fileno())


def _namespace(descriptor: int) -> int:
    """A number for a socket's network namespace; 0 on kernels that do not tell."""
    with socket.socket(fileno=os.dup(descriptor)) as borrowed:
        try:
            return int(struct.unpack("=Q", borrowed.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))[0])
        except OSError:
            return 0


def _close(descriptor: int) -> None:
    """Close it, unless the socket that was made of it has done so."""
    try:
        os.close(descriptor)
    except OSError:
        return
