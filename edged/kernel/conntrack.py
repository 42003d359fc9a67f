"""Connections' marks, by ctnetlink: the one thing edged changes in conntrack.

Messages are those of linux/netfilter/nfnetlink_conntrack.h. A mark is changed under a mask, so bits that are not edged's stay.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32
from edged.kernel.messages import Reply, pack, refusal, unpack
from edged.kernel.namespace import open_nftables

_SUBSYSTEM = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_NEW, _GET = _SUBSYSTEM | 0, _SUBSYSTEM | 1  # IPCTNL_MSG_CT_*
_TUPLE_ORIG, _MARK, _ZONE, _MARK_MASK = 1, 8, 18, 21  # CTA_*
_AT_ONCE = 200  # changes in one datagram: their refusals fit into the receive buffer
_BUFFER_SIZE = 256 * 1024
_PASSES = 20
_ANSWER_SECONDS = 10


def void_mark(netns: str | None, mask: int, value: int) -> int:
    """Zero the bits `mask` of every connection's mark where they hold `value`; how many there were. Raises KernelError.

    Returns when a pass over all connections has found none: a table that is resized meanwhile can hide some from one pass.
    """
    changed = 0
    with open_nftables(netns) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
        opened.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
        for _ in range(_PASSES):
            found = list(_carrying(opened, mask, value))
            if not found:
                return changed
            changed += len(found)
            for first in range(0, len(found), _AT_ONCE):
                _clear(opened, found[first : first + _AT_ONCE], mask)
    raise KernelError(f"connections keep appearing with mark {value:#x}, which edged does not write: who else uses its `marks`?")


def _carrying(opened: socket.socket, mask: int, value: int) -> Iterator[Reply]:
    body = be32(_MARK, value) + be32(_MARK_MASK, mask)
    _send(opened, pack(_GET, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, 1, body, family=uapi.NFPROTO_UNSPEC))
    buffer = memoryview(bytearray(_BUFFER_SIZE))
    while True:
        for reply in unpack(buffer[: _receive(opened, buffer, 0)]):
            if reply.kind == uapi.NLMSG_DONE:
                return
            if reply.kind == uapi.NLMSG_ERROR:
                refused = refusal(reply)
                raise _unreadable(refused.errno if refused else 0)
            yield reply


def _clear(opened: socket.socket, connections: list[Reply], mask: int) -> None:
    """Zero the bits; a connection that has ended meanwhile has no mark any more either."""
    _send(opened, b"".join(_cleared(connection, mask, number) for number, connection in enumerate(connections, start=2)))
    buffer = memoryview(bytearray(_BUFFER_SIZE))
    while size := _receive(opened, buffer, socket.MSG_DONTWAIT):
        for reply in unpack(buffer[:size]):
            refused = refusal(reply) if reply.kind == uapi.NLMSG_ERROR else None
            if refused is not None and refused.errno != errno.ENOENT:
                raise _unreadable(refused.errno)


def _cleared(connection: Reply, mask: int, sequence: int) -> bytes:
    fields = connection.attributes
    who = attribute(_TUPLE_ORIG | 0x8000, fields.get(_TUPLE_ORIG, b""))
    if _ZONE in fields:
        who += attribute(_ZONE, fields[_ZONE])
    body = who + be32(_MARK, 0) + be32(_MARK_MASK, mask)
    return pack(_NEW, uapi.NLM_F_REQUEST, sequence, body, family=connection.family)


def _send(opened: socket.socket, message: bytes) -> None:
    try:
        opened.send(message)
    except OSError as failed:
        raise _unreadable(failed.errno or 0) from failed


def _receive(opened: socket.socket, buffer: memoryview, flags: int) -> int:
    try:
        return opened.recv_into(buffer, 0, flags)
    except BlockingIOError:
        if flags:
            return 0
        raise _unreadable(errno.EAGAIN) from None
    except OSError as failed:
        raise _unreadable(failed.errno or 0) from failed


def _unreadable(number: int) -> KernelError:
    hint = "; the module nf_conntrack_netlink may be missing" if number in (errno.EOPNOTSUPP, errno.EINVAL) else ""
    said = errno.errorcode.get(number, str(number))
    text = f"the marks of connections cannot be changed ({said}){hint}; what was in force stays in force"
    return KernelError(text, errno=number)
