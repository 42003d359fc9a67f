"""The queueing tree as commands of tc and ip, for people: what the encoder writes, in words that `tc -batch` takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from edged.queueing.diff import diff
from edged.queueing.observed import KernelDefault, ObservedDevice
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
    Leaf,
    Rate,
    Tree,
    leaf_handle,
)


def render(trees: Iterable[Tree]) -> str:
    """The commands that make the trees on devices as the kernel sets them up."""
    trees = tuple(trees)
    devices = [ObservedDevice(tree.shaper.device, KernelDefault()) for tree in trees]
    return "".join(f"{line}\n" for line in commands(diff(trees, devices).steps))


def commands(steps: Iterable[Step]) -> Iterator[str]:
    """The steps as commands, one each."""
    return map(command, steps)


def command(step: Step) -> str:
    """The step as a command."""
    match step:
        case AddRoot(device):
            return f"tc qdisc add dev {device} root handle {ROOT} htb default 0 direct_qlen {DIRECT_PACKETS}"
        case ReplaceForeignRoot(device, kind):
            made = f"tc qdisc replace dev {device} root handle {ROOT} htb default 0 direct_qlen {DIRECT_PACKETS}"
            return f"{made}  # in place of {kind}"
        case AddClass(device, classid, parent, rate):
            return f"tc class add dev {device} parent {parent} classid {classid} htb {_rate(rate)}"
        case ChangeClass(device, classid, rate):
            return f"tc class change dev {device} classid {classid} htb {_rate(rate)}"
        case AddLeaf(device, classid, leaf, limit):
            return f"tc qdisc replace dev {device} parent {classid} handle {leaf_handle(classid)} {_leaf(leaf, limit)}"
        case RemoveLeaf(device, classid):
            return f"tc qdisc delete dev {device} parent {classid}"
        case RemoveClass(device, classid):
            return f"tc class delete dev {device} classid {classid}"
        case RemoveRoot(device):
            return f"tc qdisc delete dev {device} root handle {ROOT}"
        case _:
            assert_never(step)


def _rate(rate: Rate) -> str:
    return f"rate {rate} ceil {rate} burst {rate.burst}b cburst {rate.burst}b quantum {rate.quantum}"


def _leaf(leaf: Leaf, limit: int) -> str:
    match leaf:
        case Leaf.CAKE:
            return f"cake besteffort memlimit {CAKE_BYTES}b"
        case Leaf.FQ_CODEL:
            return f"fq_codel limit {FQ_CODEL_PACKETS} flows {FQ_CODEL_FLOWS}"
        case Leaf.BFIFO:
            return f"bfifo limit {limit}"
        case _:
            assert_never(leaf)
