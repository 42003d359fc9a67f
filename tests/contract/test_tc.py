"""One contract, two kernels: what the queueing promises, held by the fake and by Linux."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edged.errors import KernelError
from edged.kernel.tc import TrafficControl
from edged.queueing.diff import change, diff
from edged.queueing.observed import ForeignRoot, KernelDefault, ObservedDevice, OurRoot
from edged.queueing.plan import AddClass, AddLeaf, AddRoot, ChangeClass, MissingDevice, Plan, RemoveClass, RemoveLeaf, RemoveRoot
from edged.queueing.render import render
from edged.queueing.tree import IDLE, LINE, ROOT, ClassId, Leaf, Lease, Rate, Shaper, Tree, best_leaf
from tests.contract.queueing import DEVICES, FakeQueueing, LinuxQueueing, QueueingMachine
from tests.tiers import missing_for_namespaces, require

LAN = Shaper("lan0", Rate(1_000_000_000), 20)
WAN = Shaper("wan0", Rate(100_000_000_000), 3)  # more bytes a second than 32 bits count
MBIT = Rate(1_000_000)


@pytest.fixture
def linux() -> Iterator[LinuxQueueing]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = LinuxQueueing()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["fake", "linux"])
def machine(request: pytest.FixtureRequest) -> Iterator[QueueingMachine]:
    if request.param == "fake":
        yield FakeQueueing()
    else:
        yield request.getfixturevalue("linux")


def device(control: TrafficControl, name: str) -> ObservedDevice:
    return next(each for each in control.observe() if each.name == name)


def enforce(control: TrafficControl, *trees: Tree) -> Plan:
    plan = diff(trees, control.observe())
    control.apply(plan.steps)
    return plan


def test_what_was_applied_is_observed_and_nothing_is_left_to_do(machine: QueueingMachine) -> None:
    trees = (Tree(LAN, (Lease(LAN.classes[4], MBIT),)), Tree(WAN))
    enforce(machine.control, *trees)
    assert diff(trees, machine.control.observe()) == Plan()
    root = device(machine.control, "lan0").root
    assert isinstance(root, OurRoot)
    assert [each.classid for each in root.classes] == [LINE, *LAN.classes]
    assert [each.classid for each in root.classes if each.rate != LAN.line] == [LAN.classes[4]]
    wide = device(machine.control, "wan0").root
    assert isinstance(wide, OurRoot)
    assert {each.rate for each in wide.classes} == {WAN.line}


def test_a_fresh_device_has_the_kernels_default(machine: QueueingMachine) -> None:
    assert {each.root for each in machine.control.observe() if each.name in DEVICES} == {KernelDefault()}


def test_plain_leaves_are_bounded_by_the_rate(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(LAN))
    assert machine.leaf("lan0", LAN.classes[0]) == f"bfifo limit {LAN.line.queue}"
    # one that another release made, or whose leaf somebody took, has HTB's own
    machine.control.apply((RemoveLeaf("lan0", LAN.classes[1]),))
    assert enforce(machine.control, Tree(LAN)).steps == (AddLeaf("lan0", LAN.classes[1], Leaf.BFIFO, LAN.line.queue),)


def test_a_lease_changes_the_rate_and_what_may_wait_and_so_does_its_end(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(LAN))
    classid = LAN.classes[7]
    for leases, rate in (((Lease(classid, MBIT),), MBIT), ((), LAN.line)):
        changed = (ChangeClass("lan0", classid, rate), AddLeaf("lan0", classid, Leaf.BFIFO, rate.queue))
        assert enforce(machine.control, Tree(LAN, leases)).steps == changed
        assert diff([Tree(LAN, leases)], machine.control.observe()) == Plan()
        assert machine.leaf("lan0", classid) == f"bfifo limit {rate.queue}"
        assert changed == tuple(change(LAN, classid, leases[0].rate if leases else IDLE))


def test_another_leaf_has_one_bound_for_every_rate() -> None:
    shaper = replace(LAN, leaf=Leaf.FQ_CODEL)
    assert tuple(change(shaper, LAN.classes[7], MBIT)) == (ChangeClass("lan0", LAN.classes[7], MBIT),)


def test_a_pool_grows_and_shrinks_in_place(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(LAN))
    for size in (25, 2):
        changed = replace(LAN, pool=size)
        plan = enforce(machine.control, Tree(changed))
        assert not any(isinstance(step, AddRoot | RemoveRoot) for step in plan.steps)
        assert diff((Tree(changed),), machine.control.observe()) == Plan()


def test_a_leaf_gives_way_to_one_of_another_kind(machine: QueueingMachine) -> None:
    if not machine.control.capabilities().leaves >= {Leaf.CAKE, Leaf.FQ_CODEL}:
        pytest.skip("this kernel has not both cake and fq_codel: Debian's stock kernel has")
    for leaf in (Leaf.CAKE, Leaf.FQ_CODEL, Leaf.CAKE, Leaf.BFIFO):
        desired = Tree(replace(LAN, leaf=leaf))
        enforce(machine.control, desired)
        assert diff((desired,), machine.control.observe()) == Plan()


@pytest.mark.parametrize("leaf", [Leaf.CAKE, Leaf.FQ_CODEL])
def test_leaves_are_given_kept_and_taken_back(machine: QueueingMachine, leaf: Leaf) -> None:
    if leaf not in machine.control.capabilities().leaves:
        pytest.skip(f"this kernel has no {leaf.value}: Debian's stock kernel has")
    for desired in (replace(LAN, leaf=leaf), LAN, replace(LAN, leaf=leaf, pool=30)):
        enforce(machine.control, Tree(desired))
        assert diff((Tree(desired),), machine.control.observe()) == Plan()
        # a leaf's own classes are no part of the tree
        assert {use.classid for use in machine.control.statistics("lan0")} == {LINE, *desired.classes}
    machine.control.apply((RemoveRoot("lan0"),))
    assert device(machine.control, "lan0").root == KernelDefault()


def test_a_foreign_root_stays_until_it_is_named(machine: QueueingMachine) -> None:
    machine.take_root("lan0")
    foreign = ForeignRoot("lan0", "tbf")
    assert enforce(machine.control, Tree(LAN), Tree(WAN)).obstacles == (foreign,)
    assert device(machine.control, "lan0").root == foreign
    assert isinstance(device(machine.control, "wan0").root, OurRoot)
    # not only the plan keeps off it: the kernel refuses too, where it came since
    with pytest.raises(KernelError) as refused:
        machine.control.apply((AddRoot("lan0"),))
    assert refused.value.errno == errno.EEXIST
    with pytest.raises(KernelError):
        machine.control.apply((RemoveRoot("lan0"),))
    assert device(machine.control, "lan0").root == foreign
    plan = diff((Tree(LAN), Tree(WAN)), machine.control.observe(), frozenset((foreign,)))
    machine.control.apply(plan.steps)
    assert diff((Tree(LAN), Tree(WAN)), machine.control.observe()) == Plan()


def test_without_desire_our_trees_go_and_others_stay(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(LAN))
    machine.take_root("wan0")
    assert enforce(machine.control).steps == (RemoveRoot("lan0"),)
    assert device(machine.control, "lan0").root == KernelDefault()
    assert device(machine.control, "wan0").root == ForeignRoot("wan0", "tbf")


def test_a_device_that_is_not_there(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(WAN))
    machine.remove_device("wan0")
    assert diff((Tree(WAN),), machine.control.observe()).obstacles == (MissingDevice("wan0"),)
    with pytest.raises(KernelError, match="wan0: add the root htb: there is no such device") as refused:
        machine.control.apply((AddRoot("wan0"),))
    assert refused.value.errno == errno.ENODEV
    assert machine.control.statistics("wan0") == ()


@pytest.mark.parametrize(
    ("step", "number"),
    [
        (AddClass("lan0", LAN.classes[0], LINE, MBIT), errno.EEXIST),
        (ChangeClass("lan0", ClassId(ROOT.major, 0x999), MBIT), errno.ENOENT),
        (RemoveClass("lan0", ClassId(ROOT.major, 0x999)), errno.ENOENT),
        (RemoveClass("lan0", LINE), errno.EBUSY),
        (RemoveRoot("wan0"), errno.EINVAL),
        (ChangeClass("wan0", LAN.classes[0], MBIT), errno.ENOENT),
    ],
)
def test_a_refusal_names_its_step(machine: QueueingMachine, step: AddClass | ChangeClass | RemoveClass, number: int) -> None:
    enforce(machine.control, Tree(LAN))
    with pytest.raises(KernelError) as refused:
        machine.control.apply((ChangeClass("lan0", LAN.classes[1], MBIT), step))
    assert refused.value.errno == number
    assert refused.value.label in str(refused.value)
    assert refused.value.label.startswith(step.device)
    root = device(machine.control, "lan0").root
    assert isinstance(root, OurRoot)
    assert root.classes[2].rate == MBIT, "what came before the refused step is done"


def test_statistics_of_each_class(machine: QueueingMachine) -> None:
    enforce(machine.control, Tree(LAN))
    assert {use.classid for use in machine.control.statistics("lan0")} == {LINE, *LAN.classes}
    assert machine.control.statistics("wan0") == ()


def shown(linux: LinuxQueueing) -> list[str]:
    """What tc says of both devices, without the order of its lists and without what the neighbour discovery sent meanwhile."""
    lists = (linux.run("tc", "-d", what, "show", "dev", name) for what in ("qdisc", "class") for name in DEVICES)
    return [re.sub("direct_packets_stat [0-9]+", "", line) for each in lists for line in sorted(each.splitlines())]


def test_the_commands_make_the_same_tree(linux: LinuxQueueing) -> None:
    leaf = best_leaf(linux.control.capabilities().leaves, LAN.pool)
    trees = (Tree(replace(LAN, leaf=leaf), (Lease(LAN.classes[0], MBIT),)), Tree(WAN))
    for line in render(trees).splitlines():
        linux.run(*line.split())
    assert diff(trees, linux.control.observe()) == Plan()
    by_hand = shown(linux)
    enforce(linux.control)
    enforce(linux.control, *trees)
    assert shown(linux) == by_hand


def test_the_probe_agrees_with_tc_and_changes_nothing(linux: LinuxQueueing) -> None:
    before = linux.run("tc", "qdisc", "show")
    found = linux.control.capabilities()
    assert linux.run("tc", "qdisc", "show") == before
    for kind, has in (("htb", found.htb), *((leaf.value, leaf in found.leaves) for leaf in type(LAN.leaf))):
        try:
            linux.run(*f"tc qdisc add dev wan0 root handle 9: {kind}".split())
        except RuntimeError:
            assert not has, kind
        else:
            assert has, kind
            linux.run(*["tc", "qdisc", "delete", "dev", "wan0", "root"])


def test_a_strangers_change_shows_and_is_undone(linux: LinuxQueueing) -> None:
    enforce(linux.control, Tree(LAN))
    linux.run(*f"tc class change dev lan0 classid {LAN.classes[0]} htb rate 8bit ceil 1gbit".split())
    linux.run(*f"tc qdisc replace dev lan0 parent {LAN.classes[1]} pfifo limit 5".split())
    linux.run(*f"tc class delete dev lan0 classid {LAN.classes[2]}".split())
    linux.run(*["tc", "class", "add", "dev", "lan0", "parent", "ed:", "classid", "ed:999", "htb", "rate", "1mbit"])
    assert len(enforce(linux.control, Tree(LAN)).steps) == 6
    assert diff((Tree(LAN),), linux.control.observe()) == Plan()
