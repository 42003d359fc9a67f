"""What this kernel can do, found out by dry runs in a scratch table that is never committed.

A dry run is a batch without its end: the kernel checks and builds everything, then takes it back; the generation does not
change. It may load modules, as the real rule would.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edged.addresses import Family, Range
from edged.errors import KernelError
from edged.kernel import Capabilities, uapi
from edged.kernel import expressions as ex
from edged.kernel.attrs import be32, nest, text
from edged.kernel.batch import Batch, Message
from edged.kernel.encode import KEY_TYPE_OF, encode_plan
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import FlowtableAttr, Msg, RuleAttr, SetAttr, TableAttr
from edged.ruleset.nodes import Direction
from edged.ruleset.plan import AddChain, AddCounter, AddElements, AddSet, CreateTable, Lock, Plan, Step
from edged.ruleset.sets import AddressSet, Element, Holds, LiveSet
from edged.ruleset.tree import Chain, Counter, Hook

_SCRATCH = "edged_probe"
_CHAIN = Chain("probe", hook=Hook())


@dataclass(frozen=True, slots=True)
class Feature:
    """A thing that a kernel may lack: what edged wants it for, and what it does instead; `twin` does the same work as well."""

    purpose: str
    otherwise: str
    twin: str = ""


FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        "table_owner": Feature(
            "keeps other programs from changing or flushing table inet edged (Linux 5.12)",
            "anyone with CAP_NET_ADMIN can change it; the daemon notices and repairs it within milliseconds",
        ),
        "table_persist": Feature(
            "an owned table stays when its owner ends (Linux 6.9)",
            "the owned table would go with its socket: systemd keeps that over a restart, and edged apply leaves a table unowned",
        ),
        "inet_filter": Feature(
            "base chains of the inet family, which see IPv4 and IPv6 being forwarded",
            "no policy can be enforced on this kernel",
        ),
        "interval_sets": Feature("sets of prefixes, for pools and exemptions", "no policy can be enforced on this kernel"),
        "prefix_sets": Feature(
            "hash sets of a fixed size, for blocklists of a million addresses", "blocklist cannot be enforced on this kernel"
        ),
        "connection_marks": Feature(
            "keeps a verdict with its connection, so that an open one is looked up again only when the lists change",
            "blocklist cannot be enforced on this kernel",
        ),
        "timeouts": Feature("exemptions that end by themselves in the kernel", "no policy can be enforced on this kernel"),
        "counters": Feature("named counters, which keep their value over an update", "no policy can be enforced on this kernel"),
        "conntrack": Feature(
            "tells answers from unsolicited packets, and reassembles fragments before the port rules",
            "ip53b cannot let answers to a subscriber's own port 53 pass; fragments pass unseen",
        ),
        "limit": Feature("bounds how many TCP resets edged sends", "op25b cannot bound its resets"),
        "reject": Feature(
            "answers a refused connection with a TCP reset", "op25b can only drop, so mail clients hang until they give up"
        ),
        "queue": Feature(
            "hands the first packets of a flow to edged's inspectors",
            "without queue_target too, no flow is recognised by its content, and of caps only `bulk` is left",
            "queue_target",
        ),
        "queue_target": Feature(
            "the same by xtables' NFQUEUE target, for kernels without nft's own queue",
            "without queue too, no flow is recognised by its content, and of caps only `bulk` is left",
            "queue",
        ),
        "leases": Feature(
            "maps from a subscriber's address to the tc class that its heavy flows take", "caps cannot be enforced on this kernel"
        ),
        "named_limits": Feature(
            "limits by a subscriber's address, where tc has no class left", "caps cannot be enforced on this kernel"
        ),
        "dynamic_sets": Feature(
            "sets that rules put subscribers with heavy flows into", "caps cannot be enforced on this kernel"
        ),
        "flowtable": Feature(
            "lets other programs offload flows past every rule (edged itself never does)",
            "no flowtable can bypass the policies on this kernel",
        ),
        "destroy": Feature(
            "deletes without complaint what may be gone already (Linux 6.3)",
            "edged deletes exactly what it has seen, and looks again where that changed",
        ),
    }
)


def probe(nft: NftSocket) -> Capabilities:
    """Try each feature by a dry run. Raises KernelError where nftables itself cannot be used."""
    if not _works(nft, _table(Lock.NONE)):
        raise KernelError("this kernel has no nftables of the inet family (CONFIG_NF_TABLES_INET); edged needs it")
    return Capabilities(MappingProxyType({name: _works(nft, messages) for name, messages in _trials().items()}))


def _works(nft: NftSocket, messages: tuple[Message, ...]) -> bool:
    try:
        nft.judge(Batch(messages))
    except KernelError as refused:
        if refused.errno == errno.EPERM:  # a missing capability says nothing about the kernel
            raise
        return False
    return True


def _trials() -> dict[str, tuple[Message, ...]]:
    plain = _table(Lock.NONE)
    filtered = plain + _steps(AddChain(_CHAIN))
    ranges = (Element(Range(1, 2)),)
    ending = (Element(Range(1, 2), until=60),)
    # not tried: what conntrack counts of a flow, for the trial alone would switch its counting on (nft_ct_get_init)
    return {
        "table_owner": _table(Lock.OWNER),
        "table_persist": _table(Lock.OWNER_PERSIST),
        "inet_filter": filtered,
        "interval_sets": plain + _filled(AddressSet("probe", Family.IPV6), ranges),
        "prefix_sets": (*plain, _hash_set()),
        "connection_marks": (*filtered, _rule(ex.ct(ex.CtKey.MARK) + ex.bitwise(b"\0" * 4) + ex.ct_set(ex.CtKey.MARK))),
        "timeouts": plain + _filled(AddressSet("probe", Family.IPV6, expiring=True), ending),
        "counters": plain + _steps(AddCounter(Counter("probe", Direction.UP, Family.IPV4, "drop"))),
        "conntrack": (*filtered, _rule(ex.ct(ex.CtKey.DIRECTION) + ex.cmp(ex.Comparison.EQUAL, b"\1"))),
        "limit": (*filtered, _rule(ex.limit_over(1, 1))),
        "reject": (*filtered, _rule(ex.meta_equals(ex.MetaKey.L4PROTO, b"\6") + ex.reject_with_reset())),
        "queue": (*filtered, _rule(ex.queue(0, 1))),
        "queue_target": (*filtered, _rule(ex.queue_target(0, 1))),
        "leases": _live(Holds.CLASS, ex.lookup_value("probe") + ex.meta_set(ex.MetaKey.PRIORITY)),
        "named_limits": _live(Holds.LIMIT, ex.object_of("probe")),
        "dynamic_sets": _live(Holds.NOTHING, ex.update("probe", milliseconds=1000)),
        "flowtable": (*plain, _flowtable()),
        "destroy": (Message(Msg.DESTROYTABLE, 0, text(TableAttr.NAME, _SCRATCH), "destroy"),),
    }


def _steps(*steps: Step) -> tuple[Message, ...]:
    return encode_plan(Plan(steps, 0, _SCRATCH), now=0.0)


def _table(lock: Lock) -> tuple[Message, ...]:
    return _steps(CreateTable(lock))


def _filled(made: AddressSet, elements: tuple[Element, ...]) -> tuple[Message, ...]:
    return _steps(AddSet(made), AddElements(made, elements))


def _rule(expressions: bytes) -> Message:
    body = text(RuleAttr.TABLE, _SCRATCH) + text(RuleAttr.CHAIN, _CHAIN.name) + nest(RuleAttr.EXPRESSIONS, expressions)
    return Message(Msg.NEWRULE, uapi.NLM_F_CREATE | uapi.NLM_F_APPEND, body, "rule")


def _live(holds: Holds, asked: bytes) -> tuple[Message, ...]:
    source = ex.meta_equals(ex.MetaKey.NFPROTO, bytes((uapi.NFPROTO_IPV6,))) + ex.payload(ex.HeaderBase.NETWORK, 8, 16)
    made = _steps(AddSet(LiveSet("probe", Family.IPV6, holds)), AddChain(_CHAIN))
    return (*_table(Lock.NONE), *made, _rule(source + asked))


def _hash_set() -> Message:
    names = text(SetAttr.TABLE, _SCRATCH) + text(SetAttr.NAME, "probe")
    key = be32(SetAttr.KEY_TYPE, KEY_TYPE_OF[Family.IPV6]) + be32(SetAttr.KEY_LEN, Family.IPV6.bits // 8)
    sized = nest(SetAttr.DESC, be32(SetAttr.DESC_SIZE, 16))
    return Message(Msg.NEWSET, uapi.NLM_F_CREATE, names + key + sized + be32(SetAttr.ID, 1), "set")


def _flowtable() -> Message:
    hook = nest(FlowtableAttr.HOOK, be32(FlowtableAttr.HOOK_NUM, 0), be32(FlowtableAttr.HOOK_PRIORITY, 0))
    body = text(FlowtableAttr.TABLE, _SCRATCH) + text(FlowtableAttr.NAME, "probe") + hook
    return Message(Msg.NEWFLOWTABLE, uapi.NLM_F_CREATE, body, "flowtable")
