"""Our table as it stands in the kernel: raw dumps to `ObservedTable`.

Only what edged compares is read. Rule bodies come back as one digest each (see identity.py). Anonymous sets and bound chains
are parts of a foreign rule and go with it, so they are left out; their rule shows as not ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.kernel import uapi
from edged.kernel.attrs import number, parse, signed, string, text
from edged.kernel.elements import decode_elements
from edged.kernel.encode import CLASS_TYPE, KEY_TYPE_OF, LIVE_FLAGS_OF
from edged.kernel.identity import fingerprint_in, note_in
from edged.kernel.nftsocket import DumpTornError, NftSocket
from edged.kernel.uapi import ChainAttr, ElemAttr, Msg, ObjAttr, RuleAttr, SetAttr, TableAttr
from edged.ruleset.observed import (
    AnyObservedSet,
    CounterValue,
    ObservedChain,
    ObservedLiveSet,
    ObservedPrefixSet,
    ObservedSet,
    ObservedTable,
    Ownership,
)
from edged.ruleset.sets import Element, Holds
from edged.ruleset.tree import Hook

if TYPE_CHECKING:
    from edged.packed import Keys

_FOREIGN_TO_SETS = frozenset((SetAttr.EXPR, SetAttr.EXPRESSIONS))
_HOLDS_OF_FLAGS = {flags: holds for holds, flags in LIVE_FLAGS_OF.items()}
_FAMILY_OF_KEY = {(kind, family.bits // 8): family for family, kind in KEY_TYPE_OF.items()}


def read_table(nft: NftSocket, table: str, now: float, kept: Mapping[str, Keys]) -> ObservedTable | None:
    """The table, read in several dumps; None where there is none. Raises DumpTornError, KernelError.

    `now` (seconds since the epoch) is the wall clock that the elements' ends are compared with; `kept` is what the caller last
    put into sets of prefixes, by their names.
    """
    head = _read_head(nft, table)
    if head is None:
        return None
    flags = number(head.get(TableAttr.FLAGS))
    chains = _read_chains(nft, table, is_dormant=bool(flags & uapi.TABLE_F_DORMANT))
    notes = {name: value for chain in chains.values() for name, value in chain.notes.items()}
    found = ObservedTable(
        ownership=_ownership(flags, number(head.get(TableAttr.OWNER)), nft.port),
        chains=chains,
        sets=_read_sets(nft, table, now, notes, kept),
        counters=read_counters(nft, table),
    )
    # a table that its owner leaves, by closing its socket, vanishes or is orphaned without a new generation
    if _read_head(nft, table) != head:
        raise DumpTornError
    return found


def _read_head(nft: NftSocket, table: str) -> dict[int, bytes] | None:
    return nft.get(Msg.GETTABLE, text(TableAttr.NAME, table))


def _ownership(flags: int, owner: int, port: int) -> Ownership:
    """When the owner's socket closes, the kernel takes the owner flag off a persisting table and leaves the persist flag."""
    if flags & uapi.TABLE_F_OWNER:
        return Ownership.OURS if owner == port else Ownership.ANOTHER
    return Ownership.ORPHANED if flags & uapi.TABLE_F_PERSIST else Ownership.OPEN


def _read_chains(nft: NftSocket, table: str, *, is_dormant: bool) -> dict[str, ObservedChain]:
    chains: dict[str, ObservedChain] = {}
    for reply in nft.dump(Msg.GETCHAIN, text(ChainAttr.TABLE, table)):
        fields = reply.attributes
        # older kernels do not filter this dump by table
        if string(fields.get(ChainAttr.TABLE)) != table or number(fields.get(ChainAttr.FLAGS)) & uapi.CHAIN_BINDING:
            continue
        name = string(fields.get(ChainAttr.NAME))
        rules = _read_rules(nft, table, name)
        fingerprints = tuple(found for found, _ in rules)
        notes = dict(note for _, note in rules if note)
        chains[name] = ObservedChain(name, None if is_dormant else _hook(fields), fingerprints, notes)
    return chains


def _hook(fields: dict[int, bytes]) -> Hook | None:
    """The hook; where type or policy is not what edged gives a base chain, one that equals none of edged's.

    A dormant table's base chains (`flags dormant`) have no hook at all, which is what the caller says of them.
    """
    if ChainAttr.HOOK not in fields:
        return None
    hook = parse(fields[ChainAttr.HOOK])
    index = number(hook.get(ChainAttr.HOOK_NUM))
    name = uapi.HOOKS[index] if index < len(uapi.HOOKS) else f"hook {index}"
    kind, policy = string(fields.get(ChainAttr.TYPE)), number(fields.get(ChainAttr.POLICY))
    if kind != "filter":
        name += f" (type {kind})"
    if policy != uapi.NF_ACCEPT:
        name += " (policy drop)"
    return Hook(name, signed(hook.get(ChainAttr.HOOK_PRIORITY)))


def _read_rules(nft: NftSocket, table: str, chain: str) -> list[tuple[str, tuple[str, str] | None]]:
    """The fingerprints and notes of a chain's rules, in their order. Raises DumpTornError.

    Chain by chain, for what comes in one part cannot be torn, and each rule names the one before it.
    """
    rules = []
    before = None
    for reply in nft.dump(Msg.GETRULE, text(RuleAttr.TABLE, table) + text(RuleAttr.CHAIN, chain)):
        fields = reply.attributes
        if fields.get(RuleAttr.POSITION) != before:
            raise DumpTornError
        before = fields.get(RuleAttr.HANDLE)
        comment = fields.get(RuleAttr.USERDATA)
        rules.append((fingerprint_in(comment, fields.get(RuleAttr.EXPRESSIONS, b"")), note_in(comment)))
    return rules


def _read_sets(
    nft: NftSocket, table: str, now: float, notes: Mapping[str, str], kept: Mapping[str, Keys]
) -> dict[str, AnyObservedSet]:
    sets: dict[str, AnyObservedSet] = {}
    for name, fields in _set_heads(nft, table):
        unread = _prefix_set(name, fields, notes.get(name, ""), kept.get(name)) or _live_set(name, fields)
        if unread is not None:
            sets[name] = unread
            continue
        family = _family(fields)
        expiring = bool(number(fields.get(SetAttr.FLAGS)) & uapi.SET_TIMEOUT)
        # the elements of a set that has to go anyway do not matter, and a foreign one may be huge: dumps are quadratic
        elements = frozenset() if family is None else _read_elements(nft, table, name, family, now)
        if elements is None:
            family, elements = None, frozenset()  # in a shape that only making it anew mends
        sets[name] = ObservedSet(name, family, expiring, elements)
    return sets


def _set_heads(nft: NftSocket, table: str) -> list[tuple[str, dict[int, bytes]]]:
    replies = (reply.attributes for reply in nft.dump(Msg.GETSET, text(SetAttr.TABLE, table)))
    return [
        (string(fields.get(SetAttr.NAME)), fields)
        for fields in replies
        if string(fields.get(SetAttr.TABLE)) == table and not number(fields.get(SetAttr.FLAGS)) & uapi.SET_ANONYMOUS
    ]


def _prefix_set(name: str, fields: dict[int, bytes], content: str, kept: Keys | None) -> ObservedPrefixSet | None:
    """A set in the shape of those that edged keeps networks in; its elements are not read."""
    size, family = _size(fields), _family_of_keys(fields)
    if family is None or number(fields.get(SetAttr.FLAGS)) or not size or _decides_for_itself(fields):
        return None
    count = number(fields[SetAttr.COUNT]) if SetAttr.COUNT in fields else None
    known = kept is not None and kept.digest == content
    return ObservedPrefixSet(name, family, size, content, count, kept if known else None)


def _live_set(name: str, fields: dict[int, bytes]) -> ObservedLiveSet | None:
    """A set or map in the shape of those that others fill; its elements are not read."""
    size, family = _size(fields), _family_of_keys(fields)
    holds = _HOLDS_OF_FLAGS.get(number(fields.get(SetAttr.FLAGS)))
    if family is None or holds is None or not size or _decides_for_itself(fields):
        return None
    data = (number(fields.get(SetAttr.DATA_TYPE)), number(fields.get(SetAttr.DATA_LEN)), number(fields.get(SetAttr.OBJ_TYPE)))
    wanted = {Holds.NOTHING: (0, 0, 0), Holds.CLASS: (CLASS_TYPE, 4, 0), Holds.LIMIT: (0, 0, uapi.OBJECT_LIMIT)}
    return ObservedLiveSet(name, family, holds, size) if data == wanted[holds] else None


def _family(fields: dict[int, bytes]) -> Family | None:
    """The family of a set of ranges as edged makes it; None for any other shape."""
    plain = number(fields.get(SetAttr.FLAGS)) & ~uapi.SET_TIMEOUT == uapi.SET_INTERVAL
    # a size would refuse elements
    return None if not plain or _size(fields) or _decides_for_itself(fields) else _family_of_keys(fields)


def _size(fields: dict[int, bytes]) -> int:
    return number(parse(fields.get(SetAttr.DESC, b"")).get(SetAttr.DESC_SIZE))


def _family_of_keys(fields: dict[int, bytes]) -> Family | None:
    return _FAMILY_OF_KEY.get((number(fields.get(SetAttr.KEY_TYPE)), number(fields.get(SetAttr.KEY_LEN))))


def _decides_for_itself(fields: dict[int, bytes]) -> bool:
    """A default timeout ends elements that have no end, an expression says what matches."""
    return bool(number(fields.get(SetAttr.TIMEOUT))) or not _FOREIGN_TO_SETS.isdisjoint(fields)


def _read_elements(nft: NftSocket, table: str, name: str, family: Family, now: float) -> frozenset[Element] | None:
    replies = nft.dump(Msg.GETSETELEM, text(ElemAttr.LIST_TABLE, table) + text(ElemAttr.LIST_SET, name))
    return decode_elements(family, (reply.attributes.get(ElemAttr.LIST_ELEMENTS, b"") for reply in replies), now)


def read_counters(nft: NftSocket, table: str) -> dict[str, CounterValue]:
    """The table's named counters; empty where there is no such table. Raises DumpTornError, KernelError."""
    counters: dict[str, CounterValue] = {}
    for reply in nft.dump(Msg.GETOBJ, text(ObjAttr.TABLE, table)):
        fields = reply.attributes
        if string(fields.get(ObjAttr.TABLE)) != table or number(fields.get(ObjAttr.TYPE)) != uapi.OBJECT_COUNTER:
            continue
        data = parse(fields.get(ObjAttr.DATA, b""))
        packets, counted = number(data.get(ObjAttr.COUNTER_PACKETS)), number(data.get(ObjAttr.COUNTER_BYTES))
        counters[string(fields.get(ObjAttr.NAME))] = CounterValue(packets, counted)
    return counters
