"""Connections' marks, by ctnetlink: the one thing edged changes in conntrack.

Messages are those of linux/netfilter/nfnetlink_conntrack.h. A mark is changed under a mask, so bits that are not edged's stay.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import NESTED, attribute, be32
from edged.kernel.messages import Reply, pack, refusal, unpack
from edged.kernel.namespace import open_nftables
from edged.kernel.refusals import advice
from edged.kernel.uapi import CtAttr

_SUBSYSTEM = 1 << 8  # NFNL_SUBSYS_CTNETLINK
NEW, GET = _SUBSYSTEM | 0, _SUBSYSTEM | 1  # IPCTNL_MSG_CT_*
_AT_ONCE = 200  # changes in one datagram: their refusals fit into the receive buffer
_BUFFER_SIZE = 256 * 1024
_PASSES = 20
_ANSWER_SECONDS = 10


class Name(NamedTuple):
    """What ctnetlink finds a connection by: the NFPROTO_* of its family, and the attributes of its original tuple and zone."""

    family: int
    key: bytes


class Conntrack:
    """A netlink socket to ctnetlink, for one thread at a time; after an error it is good for nothing more."""

    def __init__(self, netns: str | None = None) -> None:
        """Open one in the present or the named network namespace. Raises KernelError."""
        self._socket = open_nftables(netns)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()

    def carrying(self, mask: int, value: int) -> Iterator[Reply]:
        """The connections whose marks hold `value` in the bits `mask`, of both families; the kernel chooses. Raises KernelError.

        A table that is resized meanwhile can hide some, or show some twice.
        """
        body = be32(CtAttr.MARK, value) + be32(CtAttr.MARK_MASK, mask)
        self._send(pack(GET, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, 1, body, family=uapi.NFPROTO_UNSPEC))
        while True:
            for reply in unpack(self._buffer[: self._receive(0)]):
                if reply.kind == uapi.NLMSG_DONE:
                    return
                if reply.kind == uapi.NLMSG_ERROR:
                    refused = refusal(reply)
                    raise _failed(refused.errno if refused else 0)
                yield reply

    def set_marks(self, connections: Sequence[Name], mask: int, value: int) -> None:
        """Set the bits `mask` of their marks to `value`; a connection that is gone has no mark either.

        Raises KernelError, and ValueError where `value` has other bits than `mask`: the kernel would flip those
        (ctnetlink_change_mark).
        """
        if value & ~mask:
            raise ValueError(f"not within {mask:#x}: {value:#x}")
        change = be32(CtAttr.MARK, value) + be32(CtAttr.MARK_MASK, mask)
        for first in range(0, len(connections), _AT_ONCE):
            some = connections[first : first + _AT_ONCE]
            self._send(b"".join(pack(NEW, uapi.NLM_F_REQUEST, 1, key + change, family=family) for family, key in some))
            self._raise_refusals()

    def _raise_refusals(self) -> None:
        """The kernel answers before send returns, and only where it refuses."""
        while size := self._receive(socket.MSG_DONTWAIT):
            for reply in unpack(self._buffer[:size]):
                refused = refusal(reply) if reply.kind == uapi.NLMSG_ERROR else None
                if refused is not None and refused.errno != errno.ENOENT:
                    raise _failed(refused.errno)

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError as failed:
            raise _failed(failed.errno or 0) from failed

    def _receive(self, flags: int) -> int:
        try:
            return self._socket.recv_into(self._buffer, 0, flags)
        except BlockingIOError:
            if flags:
                return 0
            raise _failed(errno.EAGAIN) from None
        except OSError as failed:
            raise _failed(failed.errno or 0) from failed


def key_of(fields: Mapping[int, bytes]) -> bytes:
    """What a connection with these attributes is found by again."""
    key = attribute(CtAttr.TUPLE_ORIG | NESTED, fields.get(CtAttr.TUPLE_ORIG, b""))
    return key + attribute(CtAttr.ZONE, fields[CtAttr.ZONE]) if CtAttr.ZONE in fields else key


def void_mark(netns: str | None, mask: int, value: int) -> int:
    """Zero the bits `mask` of every connection's mark where they hold `value`; how many there were. Raises KernelError.

    Returns when a pass over all connections has found none: a table that is resized meanwhile can hide some from one pass.
    """
    changed = 0
    with closing(Conntrack(netns)) as conntrack:
        for _ in range(_PASSES):
            found = [Name(each.family, key_of(each.attributes)) for each in conntrack.carrying(mask, value)]
            if not found:
                return changed
            changed += len(found)
            conntrack.set_marks(found, mask, 0)
    raise KernelError(f"connections keep appearing with mark {value:#x}, which edged does not write: who else uses its `marks`?")


def _failed(number: int) -> KernelError:
    hint = "; the module nf_conntrack_netlink may be missing" if number in (errno.EOPNOTSUPP, errno.EINVAL) else ""
    said = errno.errorcode.get(number, str(number))
    text = f"the marks of connections cannot be read or changed ({said}){hint}; what was in force stays in force{advice(number)}"
    return KernelError(text, errno=number)
