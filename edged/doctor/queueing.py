"""What the kernel can queue with, and who has a hand in the queueing of the gateway's interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from edged.doctor.finding import Finding, Grade
from edged.interfaces import is_wildcard
from edged.policies.caps import Caps
from edged.queueing.observed import ForeignRoot, KernelDefault, ObservedDevice, OurRoot, Root, TrafficCapabilities
from edged.queueing.tree import Leaf, best_leaf

_AREA = "queueing"
_POLICED = "heavy flows are policed: what is beyond a cap is dropped, not queued"
_LEAVES = {
    Leaf.CAKE: "keeps the flows of one subscriber apart, in pools of up to 256 classes",
    Leaf.FQ_CODEL: "keeps the flows of one subscriber apart, in any pool",
}


def qdiscs(able: TrafficCapabilities, caps: Caps | None) -> Iterator[Finding]:
    """HTB and what its classes keep packets in; `caps` are those in force."""
    shapes = caps is not None and caps.pool > 0
    purpose = "holds heavy flows to their caps by queueing them"
    if able.htb:
        yield Finding(_AREA, "htb", Grade.OK, "works", purpose)
    elif shapes:
        yield Finding(_AREA, "htb", Grade.MISSING, "not there", purpose, _POLICED)
    else:
        yield Finding(_AREA, "htb", Grade.OK, "not there, not needed", purpose, _POLICED)
    best = best_leaf(able.leaves, caps.pool) if caps is not None and caps.pool else None
    for leaf, purpose in _LEAVES.items():
        if leaf in able.leaves:
            yield Finding(_AREA, leaf.value, Grade.OK, "works", purpose)
        elif best is Leaf.BFIFO and able.htb and caps is not None and caps.pool <= leaf.most:
            instead = "the heavy flows of one subscriber and class share one plain queue, and delay each other"
            yield Finding(_AREA, leaf.value, Grade.WARN, "not there", purpose, instead)
        else:
            yield Finding(_AREA, leaf.value, Grade.OK, "not there, not needed", purpose)


def roots(interfaces: Iterable[str], observed: Iterable[ObservedDevice], caps: Caps | None) -> Iterator[Finding]:
    """The root qdiscs of the gateway's interfaces, where the caps in force shape."""
    if caps is None or not caps.pool:
        return
    present = {device.name: device.root for device in observed}
    for name in interfaces:
        if is_wildcard(name):
            instead = f"{_POLICED}, on all interfaces of that side"
            found = "stands for devices that come and go"
            yield Finding(_AREA, f"qdisc of {name}", Grade.WARN, found, "a tree of edged's classes", instead)
        elif name in present:
            yield _root(name, present[name], caps)


def _root(name: str, root: Root, caps: Caps) -> Finding:
    what, purpose = f"qdisc of {name}", "a tree of edged's classes"
    match root:
        case OurRoot():
            return Finding(_AREA, what, Grade.OK, "edged's", purpose)
        case KernelDefault():
            return Finding(_AREA, what, Grade.OK, "the kernel's own, free to be replaced", purpose)
        case ForeignRoot(_, kind) if name in caps.replace_qdiscs:
            instead = "the daemon replaces it, as replace_qdiscs of policy caps says; its classes are gone then"
            return Finding(_AREA, what, Grade.WARN, f"{kind}, another program's", purpose, instead)
        case ForeignRoot(_, kind):
            instead = (
                f"it stays, and {_POLICED}, on all interfaces of that side; replace_qdiscs of policy caps lets edged replace it"
            )
            return Finding(_AREA, what, Grade.MISSING, f"{kind}, another program's", purpose, instead)
        case _:
            assert_never(root)
