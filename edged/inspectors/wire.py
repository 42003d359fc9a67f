"""Messages of an NFQUEUE over netlink: what it is asked and told, and the packets that it hands out.

Sources: linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_queue.h, net/netfilter/nfnetlink_queue.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
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
_NUMBER = _FIRST + 4  # struct nfqnl_msg_packet_hdr begins with it
_NOWHERE = 1 << 30  # beyond the end of any message
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


class Reader:
    """Reads packets as `waiting_in` does. Messages of a queue are nearly all of one form: those like the last are read at once.

    A form is the kinds and lengths of all attributes in front of the payload, the packet's number being in the first.
    """

    __slots__ = ("_at", "_heads", "_heads_of", "_mark_at")

    def __init__(self) -> None:
        self._at = _NOWHERE  # the payload
        self._mark_at = 0
        self._heads: tuple[int, ...] = ()
        self._heads_of: Callable[[bytes], tuple[int, ...]] = _KIND

    def waiting_in(self, message: bytes) -> Waiting | None:
        """The packet in a message; None where it is something else."""
        at, mark_at = self._at, self._mark_at
        if len(message) >= at and self._heads_of(message) == self._heads:
            length, kind = _HEAD(message, at - 4)
            if kind == _PAYLOAD:
                mark = _word(message, mark_at)[0] if mark_at else 0
                return _new(Waiting, (_word(message, _NUMBER)[0], mark, at, at - 4 + length))
        waiting = waiting_in(message)
        if waiting is not None and _HEAD(message, _FIRST)[1] == _PACKET_HDR:
            self._learn(message, waiting.at)
        return waiting

    def _learn(self, message: bytes, payload: int) -> None:
        self._at, self._mark_at = payload or _NOWHERE, 0
        form, heads, at = "=4xH14x", [_PACKET], _FIRST
        while at < payload - 4:
            length, kind = _HEAD(message, at)
            if kind == _MARK:
                self._mark_at = at + 4
            heads += length, kind
            following = at + length + 3 & ~3
            form += f"HH{following - at - 4}x"
            at = following
        self._heads, self._heads_of = tuple(heads), struct.Struct(form).unpack_from


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
