"""An NFQUEUE: binding it, its length, and letting go what waits in it.

Who has the socket, or a duplicate of it, may give verdicts: the kernel asks for the port that bound the queue
(nfnetlink_queue.c, verdict_instance_lookup), and for CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Self

from edged.errors import KernelError
from edged.inspectors import wire
from edged.kernel import uapi
from edged.kernel.messages import refusal, unpack
from edged.kernel.namespace import inside

_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55  # asm-generic/socket.h
_NETLINK_NO_ENOBUFS = 5  # linux/netlink.h
_MEMINFO = struct.Struct("=9I")  # linux/sock_diag.h, SK_MEMINFO_*: the first is what waits to be received

_RECEIVE_BUFFER = 4 << 20  # some hundreds of packets of that size, as the kernel accounts for them
_BIND_SECONDS = 1.0  # what a worker of a daemon that was killed has to let go
_AHEAD = 1 << 30  # more packets than can wait; numbers are compared modulo 2^32 (nfq_id_after)


class Queue:
    """The socket of one queue number; the kernel numbers packets from 1, in 32 bits."""

    def __init__(self, number: int, opened: socket.socket) -> None:
        self.number = number
        self.socket = opened

    @classmethod
    def bind(cls, number: int, netns: str | None = None) -> Self:
        """Bind the queue, of length 0. Raises KernelError; another process may have it.

        The kernel drops what is sent to the queue between its making and its setting, which one message does: less than a
        microsecond, but before the rules that send to it is better.
        """
        try:
            opened = inside(netns, _open) if netns else _open()
        except OSError as failed:
            raise KernelError(f"cannot open a socket for queue {number}: {failed}", errno=failed.errno or 0) from failed
        until = time.monotonic() + _BIND_SECONDS
        while (refused := _configure_anew(opened, number)) in {errno.EBUSY, errno.EPERM} and time.monotonic() < until:
            time.sleep(0.02)
        if refused:
            opened.close()
            raise KernelError(
                f"cannot bind queue {number}: {errno.errorcode.get(refused, refused)}. Another program may have it "
                "(/proc/net/netfilter/nfnetlink_queue); flows pass uninspected",
                errno=refused,
            )
        return cls(number, opened)

    def hold(self, length: int) -> None:
        """From now on packets wait for their verdict, that many at most; what comes beyond that passes."""
        self.socket.send(wire.lengthened(self.number, length))

    def release(self, last: int) -> None:
        """No packet waits from now on, and all that did are accepted; `last` is the number of one that was read lately.

        When this returns they have gone on. What the socket holds of them can still be read.
        """
        self.hold(0)
        self.socket.send(wire.accepted(self.number, last + _AHEAD & 0xFFFF_FFFF))

    def backlog(self) -> int:
        """What waits in the socket to be read, in bytes as the kernel accounts for them; 0: nothing."""
        found: int = _MEMINFO.unpack(self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[0]
        return found

    def discard(self) -> tuple[int, int]:
        """Read all that the socket holds: how many packets that were, and the number of the last one, 0 where there was none."""
        count = last = 0
        while True:
            try:
                message = self.socket.recv(wire.LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return count, last
            if waiting := wire.waiting_in(message):
                count, last = count + 1, waiting.number

    def close(self) -> None:
        """Give up this duplicate; with the last one the queue is unbound, and what waits in it is dropped: release it first."""
        self.socket.close()


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, uapi.NETLINK_NETFILTER)
    try:
        opened.bind((0, 0))
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        # a packet that finds the buffer full passes, and its number is missing: nothing that recv(2) should fail for
        opened.setsockopt(uapi.SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
    except OSError:
        opened.close()
        raise
    return opened


def _configure_anew(opened: socket.socket, number: int) -> int:
    """Bind and set the queue; the kernel's errno, 0 where it is done."""
    opened.send(wire.bound(number))
    for reply in unpack(memoryview(opened.recv(wire.LARGEST))):
        if reply.kind == uapi.NLMSG_ERROR and (refused := refusal(reply)):
            return refused.errno
    return 0
