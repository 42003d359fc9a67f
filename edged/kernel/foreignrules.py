"""Other programs' rules that bear on edged's: who forwards by itself, keeps packets untracked, writes marks, asks for a queue.

Rules are read as far as they are made of nftables' own expressions or of the xtables targets that iptables-nft makes; what
iptables-legacy holds is not seen here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from edged.kernel import uapi
from edged.kernel.attrs import each, number, parse, string
from edged.kernel.messages import Reply
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import ChainAttr, Msg, RuleAttr

_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_OURS = ("inet", "edged")
_HOOK_DEV, _HOOK_DEVS = 3, 4  # NFTA_HOOK_DEV, NFTA_HOOK_DEVS
_MARK_KEY = 3  # NFT_META_MARK, NFT_CT_MARK
_KEY = 2  # NFTA_META_KEY, NFTA_CT_KEY
_WRITES: Final = {"meta": 3, "ct": 4}  # the attribute that makes it write: NFTA_META_SREG, NFTA_CT_SREG
_BITWISE_MASK, _BITWISE_XOR = 4, 5
_QUEUE_NUM, _QUEUE_TOTAL = 1, 2
_TARGET_NAME, _TARGET_INFO = 1, 3
_ALL_BITS = 0xFFFFFFFF
# struct xt_mark_tginfo2 and the beginning of xt_connmark_tginfo1: what is set, and the bits that it is set in
_XT_MARK = struct.Struct("=II")
_XT_QUEUE = struct.Struct("=HH")  # the beginning of xt_NFQ_info_v1


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A netdev table with rules that forward packets, and the devices that its chains are on."""

    table: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignRules:
    """What the rules of one table do that bears on edged's: the bits of marks that they write, and the queues they ask for."""

    table: str  # with its family
    untracks: bool = False
    writes: int = 0
    queues: frozenset[int] = frozenset()


def read_forwarders(nft: NftSocket) -> tuple[Forwarder, ...]:
    """The tables that forward where packets come in. Raises DumpTornError, KernelError."""
    tables = {
        string(rule.attributes.get(RuleAttr.TABLE))
        for rule in nft.dump(Msg.GETRULE, family=uapi.NFPROTO_NETDEV)
        if any(name == "fwd" for name, _ in _expressions(rule))
    }
    if not tables:
        return ()
    devices: dict[str, list[str]] = {}
    for chain in nft.dump(Msg.GETCHAIN, family=uapi.NFPROTO_NETDEV):
        fields = chain.attributes
        devices.setdefault(string(fields.get(ChainAttr.TABLE)), []).extend(_devices(fields.get(ChainAttr.HOOK, b"")))
    return tuple(Forwarder(table, tuple(devices.get(table, ()))) for table in sorted(tables))


def read_foreign_rules(nft: NftSocket) -> tuple[ForeignRules, ...]:
    """What the rules of all other tables do, table by table; those with nothing of it are left out. Raises as above."""
    tables: dict[tuple[str, str], list[Reply]] = {}
    for rule in nft.dump(Msg.GETRULE, family=uapi.NFPROTO_UNSPEC):
        family = _FAMILIES.get(rule.family, str(rule.family))
        tables.setdefault((family, string(rule.attributes.get(RuleAttr.TABLE))), []).append(rule)
    found = (_of_table(" ".join(table), rules) for table, rules in sorted(tables.items()) if table != _OURS)
    return tuple(each for each in found if each.untracks or each.writes or each.queues)


def _of_table(table: str, rules: Iterable[Reply]) -> ForeignRules:
    untracks, writes, queues = False, 0, set[int]()
    for rule in rules:
        expressions = tuple(_expressions(rule))
        untracks = untracks or any(_untracks(name, fields) for name, fields in expressions)
        writes |= written(expressions)
        for name, fields in expressions:
            queues.update(_queues(name, fields))
    return ForeignRules(table, untracks, writes, frozenset(queues))


def _expressions(rule: Reply) -> Iterator[tuple[str, dict[int, bytes]]]:
    for _, expression in each(rule.attributes.get(RuleAttr.EXPRESSIONS, b"")):
        fields = parse(expression)
        yield string(fields.get(uapi.EXPR_NAME)), parse(fields.get(uapi.EXPR_DATA, b""))


def _untracks(name: str, fields: dict[int, bytes]) -> bool:
    if name == "target":
        target, info = string(fields.get(_TARGET_NAME)), fields.get(_TARGET_INFO, b"")
        return target == "NOTRACK" or (target == "CT" and bool(info[:1]) and bool(info[0] & 1))  # XT_CT_NOTRACK
    return name == "notrack"


def written(expressions: Iterable[tuple[str, dict[int, bytes]]]) -> int:
    """The bits of the packet's or the connection's mark that a rule writes: all, unless it computes on the mark it found."""
    touched, bits = _ALL_BITS, 0
    for name, fields in expressions:
        if name == "bitwise" and _BITWISE_MASK in fields:
            touched = ~_value(fields[_BITWISE_MASK]) & _ALL_BITS | _value(fields.get(_BITWISE_XOR, b""))
        elif name in _WRITES and _WRITES[name] in fields and number(fields.get(_KEY)) == _MARK_KEY:
            bits |= touched
        elif name == "target" and string(fields.get(_TARGET_NAME)) in ("MARK", "CONNMARK"):
            info = fields.get(_TARGET_INFO, b"")
            bits |= _XT_MARK.unpack_from(info)[0] | _XT_MARK.unpack_from(info)[1] if len(info) >= _XT_MARK.size else _ALL_BITS
    return bits


def _queues(name: str, fields: dict[int, bytes]) -> range:
    if name == "queue" and _QUEUE_NUM in fields:
        first, total = number(fields[_QUEUE_NUM]), number(fields.get(_QUEUE_TOTAL, b"\1"))
        return range(first, first + total)
    info = fields.get(_TARGET_INFO, b"")
    if name == "target" and string(fields.get(_TARGET_NAME)) == "NFQUEUE" and len(info) >= _XT_QUEUE.size:
        first, total = _XT_QUEUE.unpack_from(info)
        return range(first, first + max(total, 1))
    return range(0)


def _value(data: bytes) -> int:
    """A mark in an expression's data; registers hold it in the machine's byte order."""
    value = parse(data).get(uapi.DATA_VALUE, b"")
    return int.from_bytes(value[:4], "little" if struct.pack("=H", 1) == b"\1\0" else "big")


def _devices(hook: bytes) -> Iterator[str]:
    fields = parse(hook)
    if _HOOK_DEV in fields:
        yield string(fields[_HOOK_DEV])
    yield from (string(name) for _, name in each(fields.get(_HOOK_DEVS, b"")))
