"""An NFQUEUE over netlink: binding it, its length, the packets that wait in it, and what becomes of them.

Who has the socket, or a duplicate of it, may give verdicts: the kernel asks for the port that bound the queue
(nfnetlink_queue.c, verdict_instance_lookup), and for CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import NamedTuple, Self

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32
from edged.kernel.messages import pack, refusal, unpack
from edged.kernel.namespace import inside

# linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_queue.h
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2, _SUBSYSTEM | 3
_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND, _COPY_PACKET = 1, 2
_FAIL_OPEN, _GSO = 1, 4
_PACKET_HDR, _VERDICT_HDR, _MARK, _PAYLOAD = 1, 2, 3, 10

_NLM_F_ACK = 4
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55  # asm-generic/socket.h
_NETLINK_NO_ENOBUFS = 5  # linux/netlink.h
_MEMINFO = struct.Struct("=9I")  # linux/sock_diag.h, SK_MEMINFO_*: the first is what waits to be received

COPIED = 17 * 1024  # bytes of a packet, which may be 64 KiB long: with _GSO it is not cut into segments for us
LARGEST = COPIED + 4096  # with the other attributes
_RECEIVE_BUFFER = 4 << 20  # some hundreds of packets of that size, as the kernel accounts for them
_BIND_SECONDS = 1.0  # what a worker of a daemon that was killed has to let go
_AHEAD = 1 << 30  # more packets than can wait; numbers are compared modulo 2^32 (nfq_id_after)

_MESSAGE = struct.Struct("=4xH").unpack_from
_ATTRIBUTE = struct.Struct("=HH").unpack_from
_WORD = struct.Struct("!I")
_word = _WORD.unpack_from


class Waiting(NamedTuple):
    """A packet that waits for its verdict: its number, its mark, and its bytes from the IP header on."""

    number: int
    mark: int
    data: bytes


class Queue:
    """The socket of one queue number; the kernel numbers packets from 1, in 32 bits."""

    def __init__(self, number: int, opened: socket.socket) -> None:
        self.number = number
        self.socket = opened
        self._accepting = _request(_VERDICT, number, _verdict(0))[:-4]
        self._marking = _request(_VERDICT, number, _verdict(0), be32(_MARK, 0))[:-12]
        self._mark_head = be32(_MARK, 0)[:4]

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
        self.socket.send(_request(_CONFIG, self.number, be32(_CFG_MAXLEN, length)))

    def release(self, last: int) -> None:
        """No packet waits from now on, and all that did are accepted; `last` is the number of one that was read lately.

        When this returns they have gone on. What the socket holds of them can still be read.
        """
        self.hold(0)
        everything = last + _AHEAD & 0xFFFF_FFFF
        self.socket.send(_request(_VERDICT_BATCH, self.number, _verdict(everything)))

    def backlog(self) -> int:
        """What waits in the socket to be read, in bytes as the kernel accounts for them; 0: nothing."""
        found: int = _MEMINFO.unpack(self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[0]
        return found

    def discard(self) -> tuple[int, int]:
        """Read all that the socket holds: how many packets that were, and the number of the last one, 0 where there was none."""
        count = last = 0
        while True:
            try:
                message = self.socket.recv(LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return count, last
            if waiting := waiting_in(message):
                count, last = count + 1, waiting.number

    def accept(self, number: int) -> None:
        """The packet goes on as it is."""
        self.socket.send(self._accepting + _WORD.pack(number))

    def accept_marked(self, number: int, mark: int) -> None:
        """The packet goes on with that mark."""
        self.socket.send(self._marking + _WORD.pack(number) + self._mark_head + _WORD.pack(mark))

    def close(self) -> None:
        """Give up this duplicate; with the last one the queue is unbound, and what waits in it is dropped: release it first."""
        self.socket.close()


def waiting_in(message: bytes) -> Waiting | None:
    """The packet in a message of the kernel's; None where it is something else, as the refusal of a verdict that came late."""
    if _MESSAGE(message)[0] != _PACKET:
        return None
    number, mark, data = 0, 0, b""
    at, end = 20, len(message)
    while at < end:
        length, kind = _ATTRIBUTE(message, at)
        if kind == _PAYLOAD:
            data = message[at + 4 : at + length]
        elif kind == _PACKET_HDR:
            (number,) = _word(message, at + 4)
        elif kind == _MARK:
            (mark,) = _word(message, at + 4)
        at += length + 3 & ~3
    return tuple.__new__(Waiting, (number, mark, data))  # the constructor of a NamedTuple takes twice as long


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
    flags = _FAIL_OPEN | _GSO
    settings = (
        attribute(_CFG_CMD, struct.pack("!BxH", _BIND, 0)),
        attribute(_CFG_PARAMS, struct.pack("!IB", COPIED, _COPY_PACKET)),
        be32(_CFG_MAXLEN, 0),
        be32(_CFG_MASK, flags),
        be32(_CFG_FLAGS, flags),
    )
    opened.send(_request(_CONFIG, number, *settings, acknowledged=_NLM_F_ACK))
    for reply in unpack(memoryview(opened.recv(LARGEST))):
        if reply.kind == uapi.NLMSG_ERROR and (refused := refusal(reply)):
            return refused.errno
    return 0


def _request(kind: int, queue: int, *attributes: bytes, acknowledged: int = 0) -> bytes:
    flags = uapi.NLM_F_REQUEST | acknowledged
    return pack(kind, flags, 0, b"".join(attributes), family=uapi.NFPROTO_UNSPEC, resource=queue)


def _verdict(number: int) -> bytes:
    return attribute(_VERDICT_HDR, struct.pack("!II", uapi.NF_ACCEPT, number))
