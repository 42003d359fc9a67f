"""nftables' expressions, each as bytes: one function an expression.

An expression works on registers: it loads one, compares one, or sets the verdict. A rule's expressions run in their order;
the first that does not hold ends the rule. Every one here uses register 1 only.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache

from edged.kernel import uapi
from edged.kernel.attrs import attribute, be16, be32, be64, nest, text, u8
from edged.ruleset.nodes import ConntrackState

# rules repeat the same few expressions; building one costs 20 us, remembering it 0.1
_remembered = lru_cache(maxsize=4096)

_VERDICT_REGISTER = 0
_REGISTER = 1
_INTERFACE_NAME_SIZE = 16  # IFNAMSIZ


class MetaKey(IntEnum):
    """NFT_META_*: what the packet carries beside its bytes."""

    PRIORITY = 2
    MARK = 3
    IIFNAME = 6
    OIFNAME = 7
    NFPROTO = 15
    L4PROTO = 16


class CtKey(IntEnum):
    """NFT_CT_*: what conntrack says."""

    STATE = 0
    DIRECTION = 1
    MARK = 3
    PACKETS = 14
    BYTES = 15


class HeaderBase(IntEnum):
    """NFT_PAYLOAD_*: where an offset into the packet starts."""

    NETWORK = 1
    TRANSPORT = 2


class Comparison(IntEnum):
    """NFT_CMP_*."""

    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    GREATER = 4


class VerdictCode(IntEnum):
    """NF_* and NFT_*: where the packet goes."""

    DROP = 0
    ACCEPT = 1
    JUMP = -3
    GOTO = -4
    RETURN = -5


# NF_CT_STATE_BIT and its neighbours (net/netfilter/nf_conntrack.h): 1 << ip_conntrack_info % 3 + 1
STATE_BITS = {
    ConntrackState.INVALID: 0x01,
    ConntrackState.ESTABLISHED: 0x02,
    ConntrackState.RELATED: 0x04,
    ConntrackState.NEW: 0x08,
    ConntrackState.UNTRACKED: 0x40,
}


def _expression(name: str, *attributes: bytes) -> bytes:
    return nest(uapi.LIST_ELEM, text(uapi.EXPR_NAME, name), nest(uapi.EXPR_DATA, *attributes))


def _value(kind: int, data: bytes) -> bytes:
    return nest(kind, attribute(uapi.DATA_VALUE, data))


@_remembered
def meta(key: MetaKey) -> bytes:
    """Load a piece of what the packet carries."""
    return _expression("meta", be32(2, key), be32(1, _REGISTER))


@_remembered
def ct(key: CtKey) -> bytes:
    """Load what conntrack says; `direction` ends the rule where there is no connection."""
    return _expression("ct", be32(2, key), be32(1, _REGISTER))


@_remembered
def payload(base: HeaderBase, offset: int, length: int) -> bytes:
    """Load bytes of the packet; ends the rule where the packet is shorter."""
    return _expression("payload", be32(1, _REGISTER), be32(2, base), be32(3, offset), be32(4, length))


@_remembered
def cmp(comparison: Comparison, data: bytes) -> bytes:
    """Go on where the register compares so with the data, over the length of the data."""
    return _expression("cmp", be32(1, _REGISTER), be32(2, comparison), _value(3, data))


@_remembered
def ct_set(key: CtKey) -> bytes:
    """Have conntrack keep the register's value; does nothing where there is no connection."""
    return _expression("ct", be32(2, key), be32(4, _REGISTER))


@_remembered
def bitwise(mask: bytes, flipped: bytes = b"") -> bytes:
    """Keep the bits of the mask, then flip those others (none by default)."""
    size, flipped = len(mask), flipped or bytes(len(mask))
    return _expression("bitwise", be32(1, _REGISTER), be32(2, _REGISTER), be32(3, size), _value(4, mask), _value(5, flipped))


def host32(value: int) -> bytes:
    """A number of 32 bits in the machine's byte order, as conntrack keeps its state and marks."""
    return struct.pack("=I", value)


@_remembered
def meta_set(key: MetaKey) -> bytes:
    """Have the packet carry the register's value."""
    return _expression("meta", be32(2, key), be32(3, _REGISTER))


@_remembered
def to_network_order(length: int) -> bytes:
    """Turn a number of this many bytes from the machine's order (NFT_BYTEORDER_HTON): sizes are compared as the bytes stand."""
    return _expression("byteorder", be32(1, _REGISTER), be32(2, _REGISTER), be32(3, 1), be32(4, length), be32(5, length))


@_remembered
def lookup(set_name: str) -> bytes:
    """Go on where the register's value is in the set."""
    return _expression("lookup", text(1, set_name), be32(2, _REGISTER))


@_remembered
def lookup_missing(set_name: str) -> bytes:
    """Go on where the register's value is not in the set."""
    return _expression("lookup", text(1, set_name), be32(2, _REGISTER), be32(5, 1))


@_remembered
def lookup_value(map_name: str) -> bytes:
    """Load what the map has for the register's value; ends the rule where it has nothing."""
    return _expression("lookup", text(1, map_name), be32(2, _REGISTER), be32(3, _REGISTER))


@_remembered
def update(set_name: str, milliseconds: int) -> bytes:
    """Put the register's value into the set, or begin its time anew (NFT_DYNSET_OP_UPDATE); a full set ends the rule."""
    return _expression("dynset", text(1, set_name), be32(3, 1), be32(4, _REGISTER), be64(6, milliseconds))


@_remembered
def object_of(map_name: str) -> bytes:
    """Go through the object that the map has for the register's value; ends the rule where it has none."""
    return _expression("objref", be32(3, _REGISTER), text(4, map_name))


@_remembered
def limit_over(packets_per_second: int, burst: int) -> bytes:
    """Go on for packets beyond the rate (NFT_LIMIT_F_INV)."""
    return _expression("limit", be64(1, packets_per_second), be64(2, 1), be32(3, burst), be32(4, 0), be32(5, 1))


@_remembered
def count_in(counter: str) -> bytes:
    """Count the packet in a named counter."""
    return _expression("objref", be32(1, uapi.OBJECT_COUNTER), text(2, counter))


@_remembered
def verdict(code: VerdictCode, chain: str | None = None) -> bytes:
    """Set the verdict; jump and goto name a chain."""
    target = (text(uapi.VERDICT_CHAIN, chain),) if chain is not None else ()
    decision = nest(uapi.DATA_VERDICT, be32(uapi.VERDICT_CODE, code), *target)
    return _expression("immediate", be32(1, _VERDICT_REGISTER), nest(2, decision))


@_remembered
def reject_with_reset() -> bytes:
    """Drop, and answer with a TCP reset; the packet must be TCP by then (NFT_REJECT_TCP_RST)."""
    return _expression("reject", be32(1, 1), u8(2, 0))


@_remembered
def reject_as_prohibited() -> bytes:
    """Drop, and answer with ICMP of the packet's family: administratively prohibited (NFT_REJECT_ICMPX_UNREACH)."""
    return _expression("reject", be32(1, 2), u8(2, 3))


def queue(first: int, count: int) -> bytes:
    """Hand the packet to one of so many user-space queues, or let it by where nobody listens (NFT_QUEUE_FLAG_BYPASS)."""
    return _expression("queue", be16(1, first), be16(2, count), be16(3, 1))


def queue_target(first: int, count: int) -> bytes:
    """The same by xtables' target: struct xt_NFQ_info_v3 of linux/netfilter/xt_NFQUEUE.h, NFQ_FLAG_BYPASS."""
    information = struct.pack("=HHHxx", first, count, 1)
    return _expression("target", text(1, "NFQUEUE"), be32(2, 3), attribute(3, information))


def meta_equals(key: MetaKey, data: bytes) -> bytes:
    """Load and compare: what nft writes for one `meta` match."""
    return meta(key) + cmp(Comparison.EQUAL, data)


def interface_name(name: str) -> bytes:
    """What an interface's name is compared with: all 16 bytes, or a prefix where the name ends in *."""
    if name.endswith("*"):
        return name[:-1].encode()
    return name.encode().ljust(_INTERFACE_NAME_SIZE, b"\0")
