"""The seam to the kernel's queueing: `TrafficControl` is what the rest of edged sees of it, `LinuxTrafficControl` is Linux."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from edged.errors import KernelError
from edged.kernel.routesocket import RouteSocket
from edged.kernel.tcmessages import (
    GETLINK,
    GETQDISC,
    GETTCLASS,
    IFINFO_SIZE,
    TCMSG,
    Class,
    Link,
    Qdisc,
    decode_class,
    decode_link,
    decode_qdisc,
    decode_use,
    encode,
    fifo_limit,
    htb_default,
    link_named,
    of_root,
    trial,
)
from edged.queueing.observed import (
    ClassUse,
    ForeignLeaf,
    ForeignRoot,
    KernelDefault,
    ObservedClass,
    ObservedDevice,
    OurRoot,
    Root,
    TrafficCapabilities,
)
from edged.queueing.plan import Step, describe
from edged.queueing.tree import ROOT, ClassId, Leaf, Rate, leaf_handle


class TrafficControl(Protocol):
    """All that edged asks of a kernel's queueing; for one thread at a time."""

    def capabilities(self) -> TrafficCapabilities:
        """Probe; changes nothing, and may load modules as the real qdisc would. Raises KernelError."""
        ...

    def observe(self) -> tuple[ObservedDevice, ...]:
        """Every device with its root, and the classes of those that are ours. Raises KernelError."""
        ...

    def statistics(self, device: str) -> tuple[ClassUse, ...]:
        """What the classes of our tree have done; none where there is no such tree or device. Raises KernelError."""
        ...

    def apply(self, steps: Iterable[Step]) -> None:
        """Carry the steps out one by one.

        Raises KernelError for one that is refused: those before it are done, some after it may be. Observe and plan again.
        """
        ...

    def close(self) -> None:
        """Let go of the socket; what is in the kernel stays."""
        ...


class LinuxTrafficControl:
    """Linux over one rtnetlink socket."""

    def __init__(self, netns: str | None = None) -> None:
        """In the present or the named network namespace. Raises KernelError."""
        self._route = RouteSocket(netns)

    @property
    def port(self) -> int:
        """The netlink port by which the kernel's notifications of its changes are told from others'."""
        return self._route.port

    def capabilities(self) -> TrafficCapabilities:
        """Probe; changes nothing, and may load modules as the real qdisc would. Raises KernelError."""
        leaves = {Leaf.BFIFO, *(leaf for leaf in (Leaf.CAKE, Leaf.FQ_CODEL) if self._has(leaf.value))}
        return TrafficCapabilities(self._has("htb"), frozenset(leaves))

    def observe(self) -> tuple[ObservedDevice, ...]:
        """Every device with its root, and the classes of those that are ours. Raises KernelError."""
        roots: dict[int, Qdisc] = {}
        leaves: dict[tuple[int, int], Qdisc] = {}
        for body in self._route.dump(GETQDISC, bytes(TCMSG.size)):
            qdisc = decode_qdisc(body)
            if qdisc.parent is None:
                roots[qdisc.ifindex] = qdisc
            elif qdisc.handle:
                leaves[qdisc.ifindex, qdisc.handle] = qdisc
        trees = {index: self._tree(index, leaves) for index, root in roots.items() if _is_ours(root)}
        # Last: a device that goes is no link any more before its qdiscs go (unregister_netdevice_many_notify in net/core/dev.c).
        # Read in this order none looks like one whose tree somebody has taken.
        links = (decode_link(body) for body in self._route.dump(GETLINK, bytes(IFINFO_SIZE)))
        return tuple(ObservedDevice(link.name, _root(link, roots.get(link.ifindex), trees)) for link in links)

    def statistics(self, device: str) -> tuple[ClassUse, ...]:
        """What the classes of our tree have done; none where there is no such tree or device. Raises KernelError."""
        index = self._index(device)
        if index is None:
            return ()
        return tuple(
            use for use in map(decode_use, self._route.dump(GETTCLASS, of_root(index))) if use.classid.major == ROOT.major
        )

    def apply(self, steps: Iterable[Step]) -> None:
        """Carry the steps out one by one; raises KernelError for one that is refused."""
        indexes: dict[str, int] = {}
        steps = tuple(steps)
        for step in steps:
            if step.device not in indexes:
                index = self._index(step.device)
                if index is None:
                    raise no_such_device(step)
                indexes[step.device] = index
        requests = [encode(step, indexes[step.device]) for step in steps]
        self._route.send(requests, lambda position: describe(steps[position]))

    def close(self) -> None:
        """Let go of the socket; what is in the kernel stays."""
        self._route.close()

    def _has(self, kind: str) -> bool:
        answer = self._route.verdict(trial(kind))
        if answer == errno.EPERM:  # a missing capability says nothing about the kernel
            raise KernelError("qdiscs may not be used by this process: it lacks the capability CAP_NET_ADMIN", errno=answer)
        return answer != errno.ENOENT

    def _index(self, device: str) -> int | None:
        found = self._route.ask(GETLINK, link_named(device))
        return None if found is None else decode_link(found).ifindex

    def _tree(self, ifindex: int, leaves: dict[tuple[int, int], Qdisc]) -> OurRoot:
        classes = map(decode_class, self._route.dump(GETTCLASS, of_root(ifindex)))
        found = (_observed(each, leaves.get((ifindex, each.leaf))) for each in classes if each is not None)
        return OurRoot(tuple(sorted(found, key=lambda each: each.classid.handle)))


def _is_ours(root: Qdisc) -> bool:
    # HTB has no operation that changes its default, so a root of our handle with another default was never ours
    return root.kind == "htb" and root.handle == ROOT.handle and htb_default(root.options) == 0


def _root(link: Link, root: Qdisc | None, trees: Mapping[int, OurRoot]) -> Root:
    if root is None or root.handle == 0:  # the handle of what the kernel attached by itself (attach_one_default_qdisc)
        return KernelDefault()
    return trees.get(link.ifindex) or ForeignRoot(link.name, root.kind)


def no_such_device(step: Step) -> KernelError:
    """The exception for a step on a device that is not there."""
    label = describe(step)
    return KernelError(f"{label}: there is no such device; nothing was changed", errno=errno.ENODEV, label=label)


@lru_cache(maxsize=1 << 15)
def _observed(found: Class, kept: Qdisc | None) -> ObservedClass:
    """Without a qdisc at its handle the leaf is HTB's own, which no dump shows."""
    classid = ClassId.of(found.handle)
    leaf = None if kept is None else _leaf(classid, kept)
    limit = fifo_limit(kept.options) if kept is not None and leaf is Leaf.BFIFO else None
    return ObservedClass(classid, Rate(found.rate * 8), Rate(found.ceil * 8), leaf, limit or 0)


def _leaf(classid: ClassId, leaf: Qdisc) -> Leaf | ForeignLeaf:
    is_ours = leaf.handle == leaf_handle(classid).handle
    return next((each for each in Leaf if is_ours and each.value == leaf.kind), ForeignLeaf(leaf.kind))
