"""Messages of an NFQUEUE over netlink: what it is asked and told, and the packets that it hands out.

Sources: linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_queue.h, net/netfilter/nfnetlink_queue.c.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32
from edged.kernel.messages import pack

_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2, _SUBSYSTEM | 3
_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND, _COPY_PACKET = 1, 2
_FAIL_OPEN, _GSO = 1, 4
_PACKET_HDR, _VERDICT_HDR, _MARK, _PAYLOAD = 1, 2, 3, 10
_NLM_F_ACK = 4

COPIED = 17 * 1024  # bytes of a packet, which may be 64 KiB long: with _GSO it is not cut into segments for us
LARGEST = COPIED + 4096  # with the other attributes

_KIND = struct.Struct("=4xH").unpack_from
_HEAD = struct.Struct("=HH").unpack_from
_WORD = struct.Struct("!I")
_word = _WORD.unpack_from
_FIRST = 20  # where attributes begin: behind netlink's header and nfnetlink's
_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long


class Waiting(NamedTuple):
    """A packet that waits for its verdict: its number, its mark, and its places in the message, from the IP header on."""

    number: int
    mark: int
    at: int
    end: int


def waiting_in(message: bytes) -> Waiting | None:
    """The packet in a message of the kernel's; None where it is something else, as the refusal of a verdict that came late."""
    if _KIND(message)[0] != _PACKET:
        return None
    number = mark = begin = end = 0
    at, size = _FIRST, len(message)
    while at < size:
        length, kind = _HEAD(message, at)
        if kind == _PAYLOAD:
            begin, end = at + 4, at + length
        elif kind == _PACKET_HDR:
            (number,) = _word(message, at + 4)
        elif kind == _MARK:
            (mark,) = _word(message, at + 4)
        at += length + 3 & ~3
    return _new(Waiting, (number, mark, begin, end))


def bound(queue: int) -> bytes:
    """The request to bind a queue and to set it up, of length 0; the kernel acknowledges it."""
    flags = _FAIL_OPEN | _GSO
    settings = (
        attribute(_CFG_CMD, struct.pack("!BxH", _BIND, 0)),
        attribute(_CFG_PARAMS, struct.pack("!IB", COPIED, _COPY_PACKET)),
        be32(_CFG_MAXLEN, 0),
        be32(_CFG_MASK, flags),
        be32(_CFG_FLAGS, flags),
    )
    return _request(_CONFIG, queue, *settings, acknowledged=_NLM_F_ACK)


def lengthened(queue: int, length: int) -> bytes:
    """The request that from now on so many packets may wait in the queue."""
    return _request(_CONFIG, queue, be32(_CFG_MAXLEN, length))


def accepted(queue: int, last: int) -> bytes:
    """The verdict that all packets go on that wait in the queue, up to the one of that number."""
    return _request(_VERDICT_BATCH, queue, _verdict(last))


def accepted_with_mark(queue: int, number: int, mark: int) -> bytes:
    """The verdict that one packet goes on, with that mark."""
    return _request(_VERDICT, queue, _verdict(number), be32(_MARK, mark))


def _request(kind: int, queue: int, *attributes: bytes, acknowledged: int = 0) -> bytes:
    flags = uapi.NLM_F_REQUEST | acknowledged
    return pack(kind, flags, 0, b"".join(attributes), family=uapi.NFPROTO_UNSPEC, resource=queue)


def _verdict(number: int) -> bytes:
    return attribute(_VERDICT_HDR, struct.pack("!II", uapi.NF_ACCEPT, number))
