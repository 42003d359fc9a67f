"""The process at the other end of the control socket, as the kernel names it: the peer itself is asked nothing."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_UCRED = struct.Struct("=iII")  # unix(7), SO_PEERCRED: pid, uid, gid, as of connect(2)
# include/uapi/asm-generic/socket.h; the socket module does not name them
_SO_PEERGROUPS = 59
_SO_PEERPIDFD = 77  # Linux 6.5
_GROUPS_ROOM = 1024  # bytes, what Python's getsockopt gives at most: 256 groups


class Connection(Protocol):
    """A connected unix socket, asyncio's included."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """As socket.socket has it."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """Whose connection it is: the process, its user, and all groups that it was in when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]
    program: str = ""  # for the log alone; empty where /proc does not show the process (proc(5), hidepid)

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}" + (f", {self.program}" if self.program else "")


def peer_of(connection: Connection) -> Peer:
    """The peer of a connected unix socket. Raises OSError where it is none.

    The groups are the process's own, by SO_PEERGROUPS, not those that a data base has for its user; of one in more than 256
    the first group alone counts.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_ROOM)
    except OSError:  # ERANGE
        raw = b""
    supplementary = struct.unpack(f"={len(raw) // 4}I", raw)
    return Peer(pid, uid, frozenset((gid, *supplementary)), _program(connection, pid))


def _program(connection: Connection, pid: int) -> str:
    """The name of the process; empty where it cannot be had, or has ended, since another may have its number then."""
    try:
        name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n").decode(errors="replace")
    except OSError:
        return ""
    with contextlib.suppress(OSError):  # before Linux 6.5 the number has to do
        descriptor = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4), "little")
        try:
            ended = select.select([descriptor], [], [], 0)[0]  # pidfd_open(2): readable once the process has ended
        finally:
            os.close(descriptor)
        if ended:
            return ""
    # whoever runs a process chooses its name: prctl(2), PR_SET_NAME
    return "".join(each if each.isprintable() else "?" for each in name)
