"""The plan as netlink messages, pure: one `match` over the steps."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from edged.addresses import Family
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32, be64, nest, text
from edged.kernel.batch import Message
from edged.kernel.elements import encode_bounds, encode_elements, encode_keys
from edged.kernel.identity import comment_of
from edged.kernel.refusals import rule_label
from edged.kernel.rules import encode_rule
from edged.kernel.uapi import ChainAttr, ElemAttr, Msg, ObjAttr, RuleAttr, SetAttr, TableAttr
from edged.ruleset import plan as steps
from edged.ruleset.plan import Lock, Plan, Step, describe
from edged.ruleset.sets import AddressSet, AnySet, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Rule

if TYPE_CHECKING:
    from edged.packed import Keys

FLAGS_OF = {
    Lock.NONE: 0,
    Lock.OWNER: uapi.TABLE_F_OWNER,
    Lock.OWNER_PERSIST: uapi.TABLE_F_OWNER | uapi.TABLE_F_PERSIST,
}
KEY_TYPE_OF = {Family.IPV4: 7, Family.IPV6: 8}  # nft's datatypes ipv4_addr and ipv6_addr
CLASS_TYPE = 23  # nft's datatype classid, a number of 32 bits
LIVE_FLAGS_OF = {
    Holds.NOTHING: uapi.SET_EVAL | uapi.SET_TIMEOUT,
    Holds.CLASS: uapi.SET_MAP | uapi.SET_TIMEOUT,
    Holds.LIMIT: uapi.SET_OBJECT | uapi.SET_TIMEOUT,
}
# NFTNL_UDATA_SET_KEYBYTEORDER and NFTNL_UDATA_SET_DATABYTEORDER: how nft prints keys and classes
_BIG_ENDIAN_KEYS = bytes((0, 4)) + struct.pack("=I", 2)
_HOST_ENDIAN_DATA = bytes((1, 4)) + struct.pack("=I", 1)


def encode_plan(plan: Plan, now: float) -> tuple[Message, ...]:
    """The plan's messages in order; `now` is in seconds since the epoch."""
    # Rules refer to chains, sets and counters. All that is rewritten or goes is emptied before the first rule is written, so
    # that no order among them is wrong: not for chains that go and jump to each other (EBUSY), nor for two that swap roles.
    emptied = chains_to_empty(plan)
    messages: list[Message] = []
    for step in plan.steps:
        if emptied and isinstance(step, steps.FillChain | steps.RemoveChain):
            messages += (_flush(plan.table, name) for name in emptied)
            emptied = ()
        messages += _encode_step(step, plan.table, now)
    return tuple(messages)


def chains_to_empty(plan: Plan) -> tuple[str, ...]:
    """The chains whose rules go: those that are removed, and those that are filled without being made by this plan."""
    made = {step.chain.name for step in plan.steps if isinstance(step, steps.AddChain)}
    filled = [step.chain.name for step in plan.steps if isinstance(step, steps.FillChain)]
    return (
        *(name for name in filled if name not in made),
        *(step.name for step in plan.steps if isinstance(step, steps.RemoveChain)),
    )


def _encode_step(step: Step, table: str, now: float) -> Iterator[Message]:
    label = describe(step)
    match step:
        case steps.CreateTable(lock):
            flags = uapi.NLM_F_CREATE | uapi.NLM_F_EXCL
            yield Message(Msg.NEWTABLE, flags, _table(table, FLAGS_OF[lock]), label)
        case steps.AdoptTable():
            yield Message(Msg.NEWTABLE, uapi.NLM_F_CREATE, _table(table, FLAGS_OF[Lock.OWNER_PERSIST]), label)
        case steps.DestroyTable():
            yield Message(Msg.DELTABLE, 0, text(TableAttr.NAME, table), label)
        case steps.AddCounter(counter):
            body = _counter_head(table, counter.name) + nest(
                ObjAttr.DATA, be64(ObjAttr.COUNTER_BYTES, 0), be64(ObjAttr.COUNTER_PACKETS, 0)
            )
            yield Message(Msg.NEWOBJ, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, body, label)
        case steps.AddSet(made):
            yield Message(Msg.NEWSET, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, _set(table, made), label)
        case steps.AddElements(target, elements):
            for chunk in encode_elements(target.family, elements, now):
                yield Message(Msg.NEWSETELEM, uapi.NLM_F_CREATE, _element_list(table, target.name, chunk), label)
        case steps.RemoveElements(target, elements):
            for chunk in encode_bounds(target.family, elements):
                yield Message(Msg.DELSETELEM, 0, _element_list(table, target.name, chunk), label)
        case steps.AddKeys(wide, keys):
            yield from _keys(Msg.NEWSETELEM, uapi.NLM_F_CREATE, table, wide, keys, label)
        case steps.RemoveKeys(wide, keys):
            yield from _keys(Msg.DELSETELEM, 0, table, wide, keys, label)
        case steps.VoidGeneration():
            pass  # conntrack's, before the batch
        case steps.AddChain(chain):
            yield Message(Msg.NEWCHAIN, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, _chain(table, chain), label)
        case steps.FillChain(chain):
            for rule in chain.rules:
                yield _rule(table, chain, rule)
        case steps.RemoveChain(name):
            yield Message(Msg.DELCHAIN, 0, text(ChainAttr.TABLE, table) + text(ChainAttr.NAME, name), label)
        case steps.RemoveSet(name):
            yield Message(Msg.DELSET, 0, text(SetAttr.TABLE, table) + text(SetAttr.NAME, name), label)
        case steps.RemoveCounter(name):
            yield Message(Msg.DELOBJ, 0, _counter_head(table, name), label)
        case _:
            assert_never(step)


def _table(name: str, flags: int) -> bytes:
    return text(TableAttr.NAME, name) + be32(TableAttr.FLAGS, flags)


def _counter_head(table: str, name: str) -> bytes:
    return text(ObjAttr.TABLE, table) + text(ObjAttr.NAME, name) + be32(ObjAttr.TYPE, uapi.OBJECT_COUNTER)


def _set(table: str, made: AnySet) -> bytes:
    flags, data, sized, printed = 0, b"", b"", _BIG_ENDIAN_KEYS
    match made:
        case AddressSet():
            flags = uapi.SET_INTERVAL | (uapi.SET_TIMEOUT if made.expiring else 0)
        case PrefixSet():
            sized = _sized(made)
        case LiveSet():
            flags, sized = LIVE_FLAGS_OF[made.holds], _sized(made)
            if made.holds is Holds.CLASS:
                data = be32(SetAttr.DATA_TYPE, CLASS_TYPE) + be32(SetAttr.DATA_LEN, 4)
                printed += _HOST_ENDIAN_DATA
            elif made.holds is Holds.LIMIT:
                data = be32(SetAttr.OBJ_TYPE, uapi.OBJECT_LIMIT)
        case _:
            assert_never(made)
    return b"".join(
        (
            text(SetAttr.TABLE, table),
            text(SetAttr.NAME, made.name),
            be32(SetAttr.FLAGS, flags),
            be32(SetAttr.KEY_TYPE, KEY_TYPE_OF[made.family]),
            be32(SetAttr.KEY_LEN, made.family.bits // 8),
            data,
            sized,
            be32(SetAttr.ID, 1),  # the kernel asks for one; only anonymous sets are referred to by it
            attribute(SetAttr.USERDATA, printed),
        )
    )


def _sized(made: PrefixSet | LiveSet) -> bytes:
    return nest(SetAttr.DESC, be32(SetAttr.DESC_SIZE, made.size))


def _keys(kind: int, flags: int, table: str, wide: PrefixSet, keys: Keys, label: str) -> Iterator[Message]:
    for chunk in encode_keys(wide.family, keys.wire):
        yield Message(kind, flags, _element_list(table, wide.name, chunk), label)


def _element_list(table: str, name: str, chunk: bytes) -> bytes:
    return text(ElemAttr.LIST_TABLE, table) + text(ElemAttr.LIST_SET, name) + nest(ElemAttr.LIST_ELEMENTS, chunk)


def _chain(table: str, chain: Chain) -> bytes:
    body = text(ChainAttr.TABLE, table) + text(ChainAttr.NAME, chain.name)
    if chain.hook is None:
        return body
    number = be32(ChainAttr.HOOK_NUM, uapi.HOOKS.index(chain.hook.name))
    hook = nest(ChainAttr.HOOK, number, be32(ChainAttr.HOOK_PRIORITY, chain.hook.priority))
    return body + hook + be32(ChainAttr.POLICY, uapi.NF_ACCEPT) + text(ChainAttr.TYPE, "filter")


def _flush(table: str, chain: str) -> Message:
    """Delete the rules of a chain, by a DELRULE that names no rule.

    Emptied and filled in one batch, a base chain stays hooked, and what waits in a queue survives (promise 6).
    """
    return Message(Msg.DELRULE, 0, text(RuleAttr.TABLE, table) + text(RuleAttr.CHAIN, chain), f"chain {chain}: empty it")


def _rule(table: str, chain: Chain, rule: Rule) -> Message:
    place = text(RuleAttr.TABLE, table) + text(RuleAttr.CHAIN, chain.name)
    return Message(Msg.NEWRULE, uapi.NLM_F_CREATE | uapi.NLM_F_APPEND, place + _rule_body(rule), rule_label(chain, rule))


@lru_cache(maxsize=4096)  # who puts a table back that a stranger removed has no time to encode it anew
def _rule_body(rule: Rule) -> bytes:
    expressions = encode_rule(rule)
    return nest(RuleAttr.EXPRESSIONS, expressions) + attribute(RuleAttr.USERDATA, comment_of(rule, expressions))
