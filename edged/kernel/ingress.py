"""tc filters where packets come in, ahead of the rules: those that send packets elsewhere, or may."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

from edged.kernel import plain
from edged.kernel.attrs import each, parse, string
from edged.kernel.tcmessages import TCMSG

_NETLINK_ROUTE = 0  # linux/netlink.h
_RTM_GETQDISC, _RTM_GETTFILTER = 38, 46  # linux/rtnetlink.h
_HANDLE = 0xFFFF0000
# linux/pkt_sched.h: TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), which finds the filters of a qdisc `ingress` too
_INGRESS = 0xFFFFFFF2
_TCA_KIND, _TCA_OPTIONS = 1, 2
_ACT_KIND, _ACT_OPTIONS = 1, 2
_MIRRED_PARMS = 2
_MIRRED = struct.Struct("=20xiI")  # tc_mirred: what all actions have, what to do, the link to do it by
_REDIRECTS = (1, 3)  # TCA_EGRESS_REDIR, TCA_INGRESS_REDIR: the packet goes there; the others send a copy
_FLAGS = struct.Struct("=I")
_IN_HARDWARE = 1 << 2  # TCA_CLS_FLAGS_IN_HW
# linux/pkt_cls.h: a classifier's attribute of its actions, and that of its flags
_ACTIONS: Final = {"bpf": 1, "matchall": 2, "flower": 3, "basic": 3, "fw": 4, "u32": 7}
_FLAGS_OF: Final = {"bpf": 9, "matchall": 3, "flower": 22, "u32": 11}


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: its classifier, the links that it redirects to (by index), and whether the hardware carries it out."""

    classifier: str
    redirects: tuple[int, ...] = ()
    in_hardware: bool = False


def links_with_ingress() -> frozenset[int]:
    """The links, by index, that have a qdisc for such filters. Raises KernelError."""
    found = plain.dump(_NETLINK_ROUTE, _RTM_GETQDISC, TCMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0), "qdiscs")
    # both have the handle ffff: (linux/pkt_sched.h: TC_H_INGRESS, TC_H_CLSACT)
    return frozenset(index for _, index, handle, *_ in map(TCMSG.unpack_from, found) if handle == _HANDLE)


def read_ingress(ifindex: int) -> tuple[Filter, ...]:
    """The filters where packets of that link come in; none where it has no such qdisc. Raises KernelError."""
    request = TCMSG.pack(socket.AF_UNSPEC, ifindex, 0, _INGRESS, 0)
    return tuple(map(decode, plain.dump(_NETLINK_ROUTE, _RTM_GETTFILTER, request, "tc filters")))


def decode(body: bytes) -> Filter:
    """One RTM_NEWTFILTER."""
    fields = parse(body[TCMSG.size :])
    classifier, options = string(fields.get(_TCA_KIND)), parse(fields.get(_TCA_OPTIONS, b""))
    flags = options.get(_FLAGS_OF.get(classifier, 0), b"")
    targets = (_target(action) for _, action in each(options.get(_ACTIONS.get(classifier, 0), b"")))
    return Filter(
        classifier,
        tuple(target for target in targets if target is not None),
        len(flags) == _FLAGS.size and bool(_FLAGS.unpack(flags)[0] & _IN_HARDWARE),
    )


def _target(action: bytes) -> int | None:
    """Where the action sends the packet; None where it does not."""
    fields = parse(action)
    parameters = parse(fields.get(_ACT_OPTIONS, b"")).get(_MIRRED_PARMS, b"")
    if string(fields.get(_ACT_KIND)) != "mirred" or len(parameters) < _MIRRED.size:
        return None
    what, link = _MIRRED.unpack_from(parameters)
    return int(link) if what in _REDIRECTS else None
