"""What strangers do to devices and their trees, and that nobody's lease suffers, over a kernel in memory."""

from __future__ import annotations

import errno

import pytest

from edged.caps.book import IDLE_AFTER
from edged.daemon.capper import RETRY_SECONDS, USE_SECONDS
from edged.daemon.drift import UNKNOWN, Process
from edged.daemon.strangers import AUDIT_SECONDS, DEAF_SECONDS
from edged.daemon.treedrift import TreeReason
from edged.errors import KernelError
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.queueing.tree import ClassId, Rate
from tests.unit.daemon.capper_rig import DOWN4, LINE, UP4, Rig, fails_once, rig

__all__ = ["rig"]  # a fixture


def test_a_device_that_comes_back_has_its_tree_again_with_the_leases_in_it(rig: Rig) -> None:
    rig.heavy(UP4, "203.0.113.1")
    [lease] = rig.leases.leased(UP4)
    del rig.traffic.devices["wan0"]
    rig.traffic.devices["wan0"] = FakeDevice()
    rig.capper.strangers.note("wan0", UNKNOWN)
    rig.settle()
    assert rig.leases.leased(UP4) == (lease,)
    assert rig.rate("wan0", lease.classid) == Rate(1_000_000)


def test_a_lease_stays_while_its_device_is_away(rig: Rig) -> None:
    rig.heavy(UP4, "203.0.113.1")
    [lease] = rig.leases.leased(UP4)
    del rig.traffic.devices["wan0"]
    rig.capper.strangers.note("wan0", UNKNOWN)
    rig.settle()
    assert rig.leases.leased(UP4) == (lease,)
    rig.traffic.devices["wan0"] = FakeDevice()
    rig.capper.strangers.note("wan0", UNKNOWN)
    rig.settle()
    assert rig.leases.leased(UP4) == (lease,)
    assert rig.rate("wan0", lease.classid) == Rate(1_000_000)


def test_a_class_that_somebody_changed_is_put_right_at_once_and_the_process_is_named(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    [lease] = rig.leases.leased(DOWN4)
    spoil(rig, "lan0", lease.classid)
    rig.capper.strangers.note("lan0", Process("tc", 4711))
    rig.tick()
    assert rig.rate("lan0", lease.classid) == Rate(2_000_000)
    assert repaired(rig) == {TreeReason.CLASSES_CHANGED: 1}
    [repair] = rig.capper.strangers.state.recent
    assert (repair.reason, repair.process) == ("classes_changed", Process("tc", 4711))
    assert repair.what == (f"lan0: change class {lease.classid} to 2mbit",)


def test_what_no_event_tells_is_found_by_the_audit(rig: Rig) -> None:
    [_, classid, *_] = rig.traffic.devices["lan0"].classes or {}
    spoil(rig, "lan0", classid)
    rig.tick(AUDIT_SECONDS - 1)
    assert rig.rate("lan0", classid) != LINE
    rig.tick(1)
    assert rig.rate("lan0", classid) == LINE
    assert rig.capper.strangers.state.recent[0].process == UNKNOWN


def test_without_events_the_trees_are_looked_at_often(rig: Rig) -> None:
    [_, classid, *_] = rig.traffic.devices["lan0"].classes or {}
    rig.capper.strangers.deafen("no memory")
    rig.tick(AUDIT_SECONDS)
    spoil(rig, "lan0", classid)
    rig.tick(DEAF_SECONDS)
    assert rig.rate("lan0", classid) == LINE


def test_each_way_of_spoiling_a_tree_has_its_reason(rig: Rig) -> None:
    [_, classid, *_] = rig.traffic.devices["lan0"].classes or {}
    whole = rig.traffic.devices["lan0"]
    del (whole.classes or {})[classid]
    assert repaired_after_touch(rig, "lan0") == {TreeReason.CLASSES_CHANGED: 1}
    rig.traffic.devices["lan0"] = FakeDevice()
    assert repaired_after_touch(rig, "lan0") == {TreeReason.CLASSES_CHANGED: 1, TreeReason.QDISC_REMOVED: 1}
    del rig.traffic.devices["lan0"]
    before = repaired_after_touch(rig, "lan0")
    rig.traffic.devices["lan0"] = FakeDevice()
    assert repaired_after_touch(rig, "lan0") == {**before, TreeReason.INTERFACE_RETURNED: 1}
    rig.traffic.devices["lan0"] = FakeDevice(foreign="tbf")
    assert repaired_after_touch(rig, "lan0")[TreeReason.QDISC_REPLACED] == 1
    assert repaired_after_touch(rig, "lan0")[TreeReason.QDISC_REPLACED] == 1, "it has given way already"


def test_what_edged_changes_itself_is_nobodys_drift(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.heavy(DOWN4, "203.0.113.1", "203.0.113.3")
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 3")
    rig.tick(AUDIT_SECONDS)
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1")
    monkeypatch.setattr(rig.leases, "apply", fails_once(rig.leases.apply, monkeypatch, rig))
    rig.heavy(DOWN4, "203.0.113.9")
    assert rig.capper.state.trouble
    rig.tick(RETRY_SECONDS)
    rig.settle()
    rig.tick(AUDIT_SECONDS)
    assert not rig.capper.state.trouble
    assert repaired(rig) == {}


def test_a_tree_that_is_taken_while_it_is_made_is_made_anew(rig: Rig) -> None:
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 600")
    rig.heavy(UP4, "203.0.113.1")
    assert rig.capper.is_pressed
    rig.traffic.devices["wan0"] = FakeDevice()
    rig.capper.strangers.note("wan0", Process("tc", 4711))
    for _ in range(10):
        rig.tick()
    assert not rig.capper.state.trouble
    assert len(rig.traffic.devices["wan0"].classes or ()) == 601
    rig.heavy(UP4, "203.0.113.1")  # was policed while there were no classes
    assert rig.leases.leased(UP4)


@pytest.mark.parametrize("work", ["apply", "statistics"])
def test_a_device_that_goes_while_it_is_worked_at_ends_no_lease(rig: Rig, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    rig.heavy(UP4, "203.0.113.1")
    [lease] = rig.leases.leased(UP4)
    present = getattr(FakeTrafficControl, work)

    def goes(traffic: FakeTrafficControl, asked: object) -> None:
        monkeypatch.setattr(FakeTrafficControl, work, present)
        del rig.traffic.devices["wan0"]
        raise KernelError("there is no such device", errno=errno.ENODEV)

    monkeypatch.setattr(FakeTrafficControl, work, goes)
    if work == "apply":
        rig.traffic.devices["wan0"] = FakeDevice()
        rig.capper.strangers.note("wan0", UNKNOWN)
    rig.tick(USE_SECONDS)
    assert not rig.capper.state.trouble
    rig.tick()
    rig.traffic.devices["wan0"] = FakeDevice()
    rig.capper.strangers.note("wan0", UNKNOWN)
    rig.settle()
    assert rig.leases.leased(UP4) == (lease,)
    assert rig.rate("wan0", lease.classid) == Rate(1_000_000)
    assert repaired(rig) == {TreeReason.INTERFACE_RETURNED: 1}


def test_what_fails_again_and_again_is_trouble_whoever_spoils_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    present = FakeTrafficControl.apply

    def refuses(traffic: FakeTrafficControl, asked: object) -> None:
        raise KernelError("there is no such device", errno=errno.ENODEV)

    monkeypatch.setattr(FakeTrafficControl, "apply", refuses)
    rig.traffic.devices["wan0"] = FakeDevice()
    rig.capper.strangers.note("wan0", UNKNOWN)
    for _ in range(30):
        rig.tick()
    assert rig.capper.state.trouble == "there is no such device"
    monkeypatch.setattr(FakeTrafficControl, "apply", present)
    rig.tick(RETRY_SECONDS)
    rig.settle()
    assert not rig.capper.state.trouble
    rig.heavy(UP4, "203.0.113.1")
    assert rig.leases.leased(UP4)


def test_whoever_contends_for_the_trees_is_repaired_after_less_and_less_often(rig: Rig) -> None:
    [_, classid, *_] = rig.traffic.devices["lan0"].classes or {}
    for _ in range(600):
        spoil(rig, "lan0", classid)
        rig.capper.strangers.note("lan0", Process("evil", 66))
        rig.tick()
    state = rig.capper.strangers.state
    assert 30 <= sum(state.repairs.values()) <= 42, "a burst, and a few in the rest of the minute"
    assert state.contention.startswith("changed again and again, last by evil (pid 66): put right once in ")
    # it ends: at the latest an audit finds nothing to do, and then all is as before
    rig.tick(AUDIT_SECONDS)
    rig.tick(AUDIT_SECONDS)
    assert not rig.capper.strangers.state.contention
    spoil(rig, "lan0", classid)
    assert sum(repaired_after_touch(rig, "lan0").values()) == sum(state.repairs.values()) + 2


def until_made(rig: Rig) -> None:
    rig.tick()
    while rig.capper.is_pressed:
        rig.tick(0.01)
    rig.tick()


def spoil(rig: Rig, device: str, classid: ClassId) -> None:
    """Another rate in a class, by somebody else."""
    classes = rig.traffic.devices[device].classes
    assert classes is not None
    classes[classid].rate = Rate(80_000)


def repaired(rig: Rig) -> dict[TreeReason, int]:
    return {reason: count for reason, count in rig.capper.strangers.state.repairs.items() if count}


def repaired_after_touch(rig: Rig, device: str) -> dict[TreeReason, int]:
    rig.capper.strangers.note(device, Process("tc", 4711))
    rig.settle()
    return repaired(rig)


@pytest.mark.parametrize("pool", [4, 1500])
def test_a_lease_whose_class_a_stranger_makes_anew_again_and_again_is_in_use(rig: Rig, pool: int) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    [lease] = rig.leases.leased(DOWN4)
    rig.traffic.send("lan0", lease.classid, 10**9)
    rig.change("rules.d/50-caps.yaml", "pool: 4", f"pool: {pool}")
    until_made(rig)
    for left in range(int(4 * IDLE_AFTER / USE_SECONDS), 0, -1):
        if left % 2:  # each second look at the use falls into the making of a pool
            rig.traffic.devices["lan0"] = FakeDevice()
            rig.capper.strangers.note("lan0", UNKNOWN)
            rig.tick(USE_SECONDS)
            assert rig.capper.is_pressed
            until_made(rig)
            continue
        rig.traffic.send("lan0", lease.classid, left * 1_000_000)
        rig.tick(USE_SECONDS)
    assert rig.leases.leased(DOWN4) == (lease,)
