"""The steps between any two trees, carried out by the executing fake; and the commands that people see."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.queueing.diff import diff
from edged.queueing.observed import ForeignRoot, KernelDefault, ObservedDevice
from edged.queueing.plan import (
    AddClass,
    AddLeaf,
    AddRoot,
    MissingDevice,
    Plan,
    RemoveClass,
    RemoveLeaf,
    RemoveRoot,
    ReplaceForeignRoot,
    describe,
)
from edged.queueing.render import commands, render
from edged.queueing.tree import LINE, ROOT, Leaf, Lease, Rate, Shaper, Tree

NAMES = ("lan0", "wan0", "ppp0")
_RATES = st.integers(1, 200).map(lambda megabits: Rate(megabits * 1_000_000))


@st.composite
def trees(draw: st.DrawFn, device: str) -> Tree:
    shaper = Shaper(device, draw(_RATES), draw(st.integers(1, 6)), draw(st.sampled_from(Leaf)))
    leased = draw(st.lists(st.sampled_from(shaper.classes), unique=True))
    return Tree(shaper, tuple(Lease(classid, draw(_RATES)) for classid in leased))


_desires = st.lists(st.sampled_from(NAMES), unique=True).flatmap(lambda names: st.tuples(*map(trees, names)))


@given(st.lists(_desires, min_size=1, max_size=4))
def test_each_desire_is_reached_from_any_other(desires: Sequence[tuple[Tree, ...]]) -> None:
    control = FakeTrafficControl({name: FakeDevice() for name in NAMES})
    for desired in desires:
        control.apply(diff(desired, control.observe()).steps)
        assert diff(desired, control.observe()) == Plan()
        ours = {device.name for device in control.observe() if device.root != KernelDefault()}
        assert ours == {tree.shaper.device for tree in desired}


@given(_desires, st.sets(st.sampled_from(NAMES)))
def test_no_step_touches_a_device_with_another_programs_tree(desired: tuple[Tree, ...], foreign: set[str]) -> None:
    observed = [ObservedDevice(name, ForeignRoot(name, "hfsc") if name in foreign else KernelDefault()) for name in NAMES]
    plan = diff(desired, observed)
    assert foreign.isdisjoint(step.device for step in plan.steps)
    wanted = {tree.shaper.device for tree in desired}
    assert {each.device for each in plan.obstacles} == foreign & wanted


def test_only_the_foreign_root_that_was_named_is_replaced() -> None:
    tree = Tree(Shaper("lan0", Rate(1_000_000), 1))
    observed = (ObservedDevice("lan0", ForeignRoot("lan0", "hfsc")),)
    named = frozenset((ForeignRoot("lan0", "hfsc"),))
    assert ReplaceForeignRoot("lan0", "hfsc") in diff((tree,), observed, named).steps
    other = frozenset((ForeignRoot("lan0", "cake"), ForeignRoot("wan0", "hfsc")))
    assert diff((tree,), observed, other) == Plan(obstacles=(ForeignRoot("lan0", "hfsc"),))


def test_obstacles_are_told_in_words() -> None:
    assert str(ForeignRoot("lan0", "cake")) == (
        "lan0 has a root qdisc that is not edged's (cake); it stays as it is, and nothing is shaped there"
    )
    assert str(MissingDevice("ppp0")) == "ppp0 is not there; nothing is shaped on it until it comes"


def test_the_commands_of_a_tree() -> None:
    shaper = Shaper("lan0", Rate(1_000_000_000), 2)
    assert render((Tree(shaper, (Lease(shaper.classes[1], Rate(2_000_000)),)),)).splitlines() == [
        "tc qdisc add dev lan0 root handle ed: htb default 0 direct_qlen 1000",
        "tc class add dev lan0 parent ed: classid ed:1 htb rate 1gbit ceil 1gbit burst 1250000b cburst 1250000b quantum 200000",
        "tc class add dev lan0 parent ed:1 classid ed:3 htb rate 2mbit ceil 2mbit burst 3028b cburst 3028b quantum 3028",
        "tc qdisc replace dev lan0 parent ed:3 handle 1003: bfifo limit 80000",
        "tc class add dev lan0 parent ed:1 classid ed:2 htb rate 1gbit ceil 1gbit burst 1250000b cburst 1250000b quantum 200000",
        "tc qdisc replace dev lan0 parent ed:2 handle 1002: bfifo limit 18750000",
    ]


def test_every_step_has_a_command_and_a_name() -> None:
    line = Rate(1_000_000)
    classid = Shaper("lan0", line, 1).classes[0]
    steps = (
        AddRoot("lan0"),
        ReplaceForeignRoot("lan0", "hfsc"),
        AddClass("lan0", LINE, ROOT, line),
        AddLeaf("lan0", classid, Leaf.CAKE),
        AddLeaf("lan0", classid, Leaf.FQ_CODEL),
        AddLeaf("lan0", classid, Leaf.BFIFO, 90_000),
        RemoveLeaf("lan0", classid),
        RemoveClass("lan0", classid),
        RemoveRoot("lan0"),
    )
    assert len(set(commands(steps))) == len({describe(step) for step in steps}) == len(steps)
    assert list(commands(steps))[3:6] == [
        "tc qdisc replace dev lan0 parent ed:2 handle 1002: cake besteffort memlimit 4194304b",
        "tc qdisc replace dev lan0 parent ed:2 handle 1002: fq_codel limit 1000 flows 64",
        "tc qdisc replace dev lan0 parent ed:2 handle 1002: bfifo limit 90000",
    ]
