"""tc's messages: the steps packed for rtnetlink, and dumps of links, qdiscs and classes taken apart.

Numbers are in the machine's byte order (linux/rtnetlink.h, linux/pkt_sched.h, linux/gen_stats.h).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple, assert_never

from edged.kernel import uapi
from edged.kernel.attrs import attribute, nest, parse, string, text
from edged.kernel.routesocket import Request
from edged.queueing.observed import ClassUse
from edged.queueing.plan import (
    AddClass,
    AddLeaf,
    AddRoot,
    ChangeClass,
    RemoveClass,
    RemoveLeaf,
    RemoveRoot,
    ReplaceForeignRoot,
    Step,
)
from edged.queueing.tree import (
    CAKE_BYTES,
    DIRECT_PACKETS,
    FQ_CODEL_FLOWS,
    FQ_CODEL_PACKETS,
    ROOT,
    ClassId,
    Leaf,
    Rate,
    leaf_handle,
)

GETLINK = 18
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWTCLASS, DELTCLASS, GETTCLASS = 40, 41, 42
IFINFO_SIZE = 16
_LOOPBACK = 1  # LOOPBACK_IFINDEX (include/net/flow.h)
_NLM_F_REPLACE = 0x100

_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFLA_IFNAME = 3
TCMSG = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_TC_H_ROOT = 0xFFFFFFFF
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_KIND = 0x3FFF  # without the flag of nested ones
_ATTRIBUTE = struct.Struct("=HH")

_HTB_PARMS, _HTB_INIT, _HTB_DIRECT_QLEN, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 5, 6, 7
_HTB_GLOB = struct.Struct("=IIIII")  # version, rate to quantum, default class, debug, direct packets
_HTB_VERSION, _HTB_RATE_TO_QUANTUM = 3, 10
_RATESPEC = struct.Struct("=BBHhHI")  # cell log, link layer, overhead, cell align, mpu, bytes a second
_HTB_OPT = struct.Struct("=IIIII")  # buffer, buffer of the ceiling, quantum, level, priority
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: the kernel computes by itself, no rate table is sent
_TICK_NS = 64  # PSCHED_SHIFT (include/net/pkt_sched.h)
_U32_MAX = 0xFFFFFFFF

_FIFO = struct.Struct("=I")  # struct tc_fifo_qopt: the limit
_FQ_CODEL_LIMIT, _FQ_CODEL_FLOWS = 2, 5
_CAKE_DIFFSERV_MODE, _CAKE_MEMORY = 3, 10
_CAKE_BESTEFFORT = 3

_STATS_BASIC, _STATS_QUEUE = 1, 3
_BASIC = struct.Struct("=QI")  # bytes, packets
_QUEUE = struct.Struct("=III")  # packets waiting, bytes waiting, drops


class Link(NamedTuple):
    """A device: its number and name."""

    ifindex: int
    name: str


class Qdisc(NamedTuple):
    """A qdisc: where it is, and its options as they came; the root's parent is None."""

    ifindex: int
    handle: int
    parent: int | None
    kind: str
    options: bytes


class Class(NamedTuple):
    """An HTB class with its rates in bytes a second; `leaf` is its leaf's handle, 0 where that is HTB's own."""

    handle: int
    leaf: int
    rate: int
    ceil: int


def encode(step: Step, index: int) -> Request:
    """The step for the device with that index."""
    create = uapi.NLM_F_CREATE
    match step:
        case AddRoot():
            # the kernel's default has the handle 0, which does not count as being there (tc_modify_qdisc)
            return Request(NEWQDISC, create | uapi.NLM_F_EXCL, _root(index))
        case ReplaceForeignRoot():
            return Request(NEWQDISC, create | _NLM_F_REPLACE, _root(index))
        case AddClass(_, classid, parent, rate):
            return Request(NEWTCLASS, create | uapi.NLM_F_EXCL, _tc(index, classid.handle, parent.handle) + _htb_class(rate))
        case ChangeClass(_, classid, rate):
            return Request(NEWTCLASS, 0, _tc(index, classid.handle, 0) + _htb_class(rate))
        case AddLeaf(_, classid, leaf, limit):
            # where that leaf is there already it is changed in place, with what waits in it (tc_modify_qdisc)
            where = _tc(index, leaf_handle(classid).handle, classid.handle)
            return Request(NEWQDISC, create | _NLM_F_REPLACE, where + _leaf(leaf, limit))
        case RemoveLeaf(_, classid):
            return Request(DELQDISC, 0, _tc(index, 0, classid.handle))
        case RemoveClass(_, classid):
            return Request(DELTCLASS, 0, _tc(index, classid.handle, 0))
        case RemoveRoot():
            return Request(DELQDISC, 0, _tc(index, ROOT.handle, _TC_H_ROOT))
        case _:
            assert_never(step)


def trial(kind: str) -> Request:
    """A root for the loopback device that no kernel makes: ENOENT where it has no such qdisc, another errno where it has.

    HTB refuses to be without options (htb_init); of the others each first option of three bytes is too short for a number.
    """
    broken = b"" if kind == "htb" else nest(_TCA_OPTIONS, *(attribute(number, bytes(3)) for number in (2, 5, 10)))
    body = _tc(_LOOPBACK, ROOT.handle, _TC_H_ROOT) + text(_TCA_KIND, kind) + broken
    return Request(NEWQDISC, uapi.NLM_F_CREATE | _NLM_F_REPLACE, body)


def link_named(name: str) -> bytes:
    """The body of a request for one device."""
    return _IFINFO.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)


def of_root(index: int) -> bytes:
    """The body of a request for the classes of our tree, without those that leaves have."""
    return _tc(index, 0, ROOT.handle)


def decode_link(body: bytes | memoryview) -> Link:
    """A device."""
    _, _, index, _, _ = _IFINFO.unpack_from(body)
    fields = parse(body[IFINFO_SIZE:])
    return Link(index, string(fields.get(_IFLA_IFNAME)))


def decode_qdisc(body: bytes | memoryview) -> Qdisc:
    """A qdisc. What comes behind its options, its statistics, is not looked at."""
    return _qdisc_in(_up_to_options(body))


@lru_cache(maxsize=1 << 15)  # there are thousands of leaves, and hardly any has changed from one look to the next
def _qdisc_in(body: bytes) -> Qdisc:
    _, index, handle, parent, _ = TCMSG.unpack_from(body)
    fields = parse(body[TCMSG.size :])
    where = None if parent == _TC_H_ROOT else parent
    return Qdisc(index, handle, where, string(fields.get(_TCA_KIND)), fields.get(_TCA_OPTIONS, b""))


def htb_default(options: bytes) -> int | None:
    """The class that an HTB gives what has none, 0 for the direct way; None where the options are not an HTB's."""
    glob = parse(options).get(_HTB_INIT, b"")
    return _HTB_GLOB.unpack_from(glob)[2] if len(glob) >= _HTB_GLOB.size else None


def fifo_limit(options: bytes) -> int | None:
    """How many bytes a bfifo holds at most; None where the options are not those of one."""
    return _FIFO.unpack(options)[0] if len(options) == _FIFO.size else None


def decode_class(body: bytes | memoryview) -> Class | None:
    """A class; None where it is not one of an HTB. What comes behind its options, its statistics, is not looked at."""
    return _class_in(_up_to_options(body))


@lru_cache(maxsize=1 << 15)
def _class_in(body: bytes) -> Class | None:
    _, _, handle, _, leaf = TCMSG.unpack_from(body)
    options = parse(parse(body[TCMSG.size :]).get(_TCA_OPTIONS, b""))
    parms = options.get(_HTB_PARMS, b"")
    if len(parms) < 2 * _RATESPEC.size:
        return None
    rates = [_RATESPEC.unpack_from(parms, position * _RATESPEC.size)[5] for position in (0, 1)]
    for position, wide in enumerate((_HTB_RATE64, _HTB_CEIL64)):
        if len(options.get(wide, b"")) == 8:
            (rates[position],) = struct.unpack("=Q", options[wide])
    return Class(handle, leaf, rates[0], rates[1])


def _up_to_options(body: bytes | memoryview) -> bytes:
    end = TCMSG.size
    while end + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, end)
        end += max(4, (length + 3) & ~3)
        if kind & _KIND == _TCA_OPTIONS:
            break
    return bytes(body[:end])


def decode_use(body: memoryview) -> ClassUse:
    """What a class has done. Read in place, for this is asked of thousands of classes every second."""
    octets = packets = backlog = drops = 0
    at, end, inside = TCMSG.size, len(body), False
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < 4 or at + length > end:
            break
        if inside:
            if kind == _STATS_BASIC and length >= 4 + _BASIC.size:
                octets, packets = _BASIC.unpack_from(body, at + 4)
            elif kind == _STATS_QUEUE and length >= 4 + _QUEUE.size:
                _, backlog, drops = _QUEUE.unpack_from(body, at + 4)
        elif kind & _KIND == _TCA_STATS2:
            at, end, inside = at + 4, at + length, True
            continue
        at += (length + 3) & ~3
    return ClassUse(_classid(TCMSG.unpack_from(body)[2]), octets, packets, drops, backlog)


_classid = lru_cache(maxsize=1 << 16)(ClassId.of)


def _tc(index: int, handle: int, parent: int) -> bytes:
    return TCMSG.pack(0, index, handle, parent, 0)


def _root(index: int) -> bytes:
    glob = attribute(_HTB_INIT, _HTB_GLOB.pack(_HTB_VERSION, _HTB_RATE_TO_QUANTUM, 0, 0, 0))
    options = nest(_TCA_OPTIONS, glob, _u32(_HTB_DIRECT_QLEN, DIRECT_PACKETS))
    return _tc(index, ROOT.handle, _TC_H_ROOT) + text(_TCA_KIND, "htb") + options


@lru_cache(maxsize=4096)  # leases repeat the few rates of the configuration
def _htb_class(rate: Rate) -> bytes:
    spec = _RATESPEC.pack(0, _ETHERNET, 0, -1, 0, min(rate.octets, _U32_MAX))
    buffer = min(rate.burst * 1_000_000_000 // rate.octets // _TICK_NS, _U32_MAX)
    parms = attribute(_HTB_PARMS, spec + spec + _HTB_OPT.pack(buffer, buffer, rate.quantum, 0, 0))
    wide = b"" if rate.octets < _U32_MAX else b"".join(_u64(kind, rate.octets) for kind in (_HTB_RATE64, _HTB_CEIL64))
    return text(_TCA_KIND, "htb") + nest(_TCA_OPTIONS, parms, wide)


@lru_cache(maxsize=4096)
def _leaf(leaf: Leaf, limit: int) -> bytes:
    match leaf:
        case Leaf.CAKE:
            options = nest(_TCA_OPTIONS, _u32(_CAKE_DIFFSERV_MODE, _CAKE_BESTEFFORT), _u32(_CAKE_MEMORY, CAKE_BYTES))
        case Leaf.FQ_CODEL:
            options = nest(_TCA_OPTIONS, _u32(_FQ_CODEL_LIMIT, FQ_CODEL_PACKETS), _u32(_FQ_CODEL_FLOWS, FQ_CODEL_FLOWS))
        case Leaf.BFIFO:
            options = attribute(_TCA_OPTIONS, _FIFO.pack(limit))
        case _:
            assert_never(leaf)
    return text(_TCA_KIND, leaf.value) + options


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _u64(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=Q", value))
