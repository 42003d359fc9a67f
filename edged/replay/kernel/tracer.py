"""Which rules a packet met: nft's trace events, and the table beside edged's own that asks for them.

    prerouting, priority -450    meta mark set @ll,64,32  meta nftrace set 1
    prerouting, priority -300    meta mark & piece == piece (Numbers.piece)

The first rule comes before the reassembly (-400), so an event of it says that a frame has arrived, and what comes until the next
one is the work of that frame. The second one says that the reassembly let something through.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from edged.errors import KernelError
from edged.kernel import expressions as ex
from edged.kernel import filters, uapi
from edged.kernel.attrs import attribute, be32, nest, number, text
from edged.kernel.batch import Batch, Message
from edged.kernel.identity import comment_in
from edged.kernel.namespace import inside
from edged.kernel.nftsocket import NftSocket
from edged.ruleset.tree import Rule, Table

FOREIGN = "replay"
ARRIVED, WHOLE = 0, -1  # for handles, which are from 1

_SO_RCVBUFFORCE = 33
_BUFFER = 64 << 20
_GROUP = 9  # NFNLGRP_NFTRACE
_TRACE = uapi.NFNL_SUBSYS_NFTABLES << 8 | 17  # NFT_MSG_TRACE
# NFTA_TRACE_*
_TABLE, _CHAIN, _HANDLE, _TYPE, _NETWORK_HEADER, _MARK = 1, 2, 3, 4, 8, 14
_TYPE_RULE = 3
_RULE_HANDLE = 3  # NFTA_RULE_HANDLE

_PREROUTING = 0
_WHOLE = "whole"
_CREATE = uapi.NLM_F_CREATE | uapi.NLM_F_EXCL
_META_MARK, _META_TRACE = 3, 12  # NFT_META_*
_LINK_LAYER = 0  # NFT_PAYLOAD_LL_HEADER
_REGISTER = 1

_COMMENT = re.compile(r"edged:(?P<name>.*):[0-9a-f]{16}:[0-9a-f]{8}(?::[a-z0-9_]+=[0-9a-f]+)?")
_HEAD = struct.Struct("=HH").unpack_from
_MESSAGE = struct.Struct("=IH").unpack_from
_OURS, _WHOLES = FOREIGN.encode() + b"\0", _WHOLE.encode() + b"\0"


class Event(NamedTuple):
    """A rule that matched a packet, by its handle or as ARRIVED or WHOLE; `header` is the IP header where it is WHOLE."""

    mark: int
    handle: int
    header: bytes


def program(nft: NftSocket, piece_bit: int) -> None:
    """Put the table that marks and traces what arrives beside edged's. Raises KernelError."""
    load_mark = _expression("meta", be32(2, _META_MARK), be32(1, _REGISTER))
    piece = ex.host32(piece_bit)
    arrive = (
        _expression("payload", be32(1, _REGISTER), be32(2, _LINK_LAYER), be32(3, 8), be32(4, 4)),
        _expression("meta", be32(2, _META_MARK), be32(3, _REGISTER)),
        _expression("immediate", be32(1, _REGISTER), nest(2, attribute(uapi.DATA_VALUE, b"\x01"))),
        _expression("meta", be32(2, _META_TRACE), be32(3, _REGISTER)),
    )
    whole = (load_mark, ex.bitwise(piece), ex.cmp(ex.Comparison.EQUAL, piece))
    made = Message(uapi.Msg.NEWTABLE, _CREATE, text(uapi.TableAttr.NAME, FOREIGN), "the tracer's table")
    nft.commit(Batch((made, *_chain("arrive", -450, arrive), *_chain(_WHOLE, -300, whole))))


def _chain(name: str, priority: int, expressions: tuple[bytes, ...]) -> tuple[Message, Message]:
    """A base chain with one rule."""
    hook = nest(uapi.ChainAttr.HOOK, be32(uapi.ChainAttr.HOOK_NUM, _PREROUTING), be32(uapi.ChainAttr.HOOK_PRIORITY, priority))
    head = text(uapi.ChainAttr.TABLE, FOREIGN) + text(uapi.ChainAttr.NAME, name)
    rule = text(uapi.RuleAttr.TABLE, FOREIGN) + text(uapi.RuleAttr.CHAIN, name)
    rule += nest(uapi.RuleAttr.EXPRESSIONS, *expressions)
    return (
        Message(uapi.Msg.NEWCHAIN, _CREATE, head + text(uapi.ChainAttr.TYPE, "filter") + hook, f"the tracer's chain {name}"),
        Message(uapi.Msg.NEWRULE, uapi.NLM_F_CREATE | uapi.NLM_F_APPEND, rule, f"the tracer's rule in {name}"),
    )


def _expression(name: str, *attributes: bytes) -> bytes:
    return nest(uapi.LIST_ELEM, text(uapi.EXPR_NAME, name), nest(uapi.EXPR_DATA, *attributes))


def rules_by_handle(nft: NftSocket, table: Table) -> dict[int, Rule]:
    """The table's rules by the handles that the kernel gave them. Raises KernelError where it holds others."""
    by_name = {rule.name: rule for rule in table.rules()}
    found: dict[int, Rule] = {}
    for reply in nft.dump(uapi.Msg.GETRULE, text(uapi.RuleAttr.TABLE, table.name)):
        comment = comment_in(reply.attributes.get(uapi.RuleAttr.USERDATA))
        said = _COMMENT.fullmatch(comment)
        # a comment holds no more of a name than nft shows
        named = [by_name[said["name"]]] if said and said["name"] in by_name else []
        named = named or [rule for name, rule in by_name.items() if said and name.startswith(said["name"])]
        if len(named) != 1:
            raise KernelError(
                f"table inet {table.name} of the replay's gateway has a rule that is none of the policy's: {comment!r}"
            )
        found[number(reply.attributes.get(_RULE_HANDLE))] = named[0]
    return found


class Traces:
    """The trace events of a namespace, in the order in which they came about."""

    def __init__(self, netns: str) -> None:
        self._socket = inside(netns, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, uapi.NETLINK_NETFILTER))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        filters.attach(self._socket, filters.with_attribute(_TYPE, _TYPE_RULE))
        self._socket.bind((0, 1 << _GROUP - 1))
        self._buffer = bytearray(1 << 16)

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def read(self) -> Iterator[Event]:
        """The events of the packets that have been through, without waiting. Raises KernelError where some were lost."""
        receive, buffer = self._socket.recv_into, self._buffer
        while True:
            try:
                size = receive(buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as failed:
                lost = "; some were lost, and no verdict can be told without them" if failed.errno == errno.ENOBUFS else ""
                raise KernelError(
                    f"the kernel's trace events cannot be read: {failed}{lost}", errno=failed.errno or 0
                ) from failed
            at = 0
            while at + 20 <= size:
                length, kind = _MESSAGE(buffer, at)
                if kind == _TRACE:
                    event = _event(buffer, at + 20, at + length)
                    if event is not None:
                        yield event
                at += length + 3 & ~3


def _event(buffer: bytearray, at: int, end: int) -> Event | None:
    """The event in a message's attributes; None for the end of a chain, which counts as a rule but has no handle."""
    mark = handle = 0
    header, is_ours, is_whole = b"", False, False
    while at + 4 <= end:
        length, kind = _HEAD(buffer, at)
        if kind == _TABLE:
            is_ours = buffer[at + 4 : at + length] == _OURS
        elif kind == _CHAIN:
            is_whole = buffer[at + 4 : at + length] == _WHOLES
        elif kind == _HANDLE:
            handle = int.from_bytes(buffer[at + 4 : at + length], "big")
        elif kind == _MARK:
            mark = int.from_bytes(buffer[at + 4 : at + length], "big")
        elif kind == _NETWORK_HEADER:
            header = bytes(buffer[at + 4 : at + length])
        at += length + 3 & ~3
    if not handle:
        return None
    if is_ours:
        handle = WHOLE if is_whole else ARRIVED
    return Event(mark, handle, header)
