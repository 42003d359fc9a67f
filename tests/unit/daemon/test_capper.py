"""Leases given, changed and taken back, over a kernel in memory."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.caps.book import IDLE_AFTER, Policed, Shaped
from edged.daemon.capper import RETRY_SECONDS, USE_SECONDS, Capper
from edged.daemon.drift import UNKNOWN, Process
from edged.daemon.strangers import AUDIT_SECONDS, DEAF_SECONDS
from edged.daemon.treedrift import TreeReason
from edged.errors import KernelError
from edged.kernel.fake import FakeHost
from edged.kernel.leasesfake import FakeLeases
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.loader import Configuration, load
from edged.marks import FlowClass
from edged.policies.capping import CAPPED
from edged.queueing.leases import CapSets, LeaseStep
from edged.queueing.tree import ClassId, Rate
from edged.ruleset.nodes import Direction
from tests.unit.daemon.daemons import NOW, FakeClock, write_files

ALL = [CapSets(direction, each.label, family) for direction in Direction for each in CAPPED for family in Family]
DOWN4 = CapSets(Direction.DOWN, "p2p", Family.IPV4)
DOWN6 = CapSets(Direction.DOWN, "p2p", Family.IPV6)
UP4 = CapSets(Direction.UP, "p2p", Family.IPV4)
CAPS = """\
policy: caps
pool: 4
classes:
  p2p: {after: 1MB, down: 2mbit, up: 1mbit}
plans:
  gold: {p2p: {down: 8mbit}}
  free: {p2p: off}
"""
SUBSCRIBERS = """\
id,prefixes,plan
c1,203.0.113.1/32 203.0.113.2/32 2001:db8:d:1::/64,
c2,203.0.113.3/32,gold
c3,203.0.113.4/32,free
"""
LINE = Rate(1_000_000_000)
Apply = Callable[[tuple[LeaseStep, ...]], None]


def number(address: str) -> int:
    return int(ip_address(address))


class Rig:
    """A gateway with a capper; `tick` is one of its moments."""

    def __init__(self, folder: Path) -> None:
        self.path = write_files(folder)
        edged = self.path.read_text().replace("dynamic: [203.0.113.0/25]", "dynamic: [203.0.113.0/25, 2001:db8:d::/48]")
        self.path.write_text(f"{edged}subscribers: subscribers.csv\n")
        (folder / "rules.d" / "50-caps.yaml").write_text(CAPS)
        (folder / "subscribers.csv").write_text(SUBSCRIBERS)
        self.folder = folder
        self.leases = FakeLeases(ALL)
        self.traffic = FakeTrafficControl({"lan0": FakeDevice(), "wan0": FakeDevice()})
        self.clock = FakeClock(FakeHost())
        self.capper = Capper(self.leases, self.traffic, self.clock, lambda _: LINE)
        self.configuration: Configuration | None = self.load()

    def load(self) -> Configuration:
        return load(self.path, now=datetime.fromtimestamp(NOW, UTC))

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.configuration = self.load()

    def tick(self, seconds: float = 0.1) -> None:
        self.clock.advance(seconds)
        self.capper.tick(self.configuration)

    def settle(self) -> None:
        for _ in range(5):
            self.tick()

    def heavy(self, sets: CapSets, *addresses: str) -> None:
        for address in addresses:
            self.leases.mark_heavy(sets, sets.key(number(address)))
        self.tick()
        self.leases.forget_heavy()

    def rate(self, device: str, classid: ClassId) -> Rate:
        classes = self.traffic.devices[device].classes
        assert classes is not None
        return classes[classid].rate

    def rate_of(self, sets: CapSets, address: str) -> Rate:
        [classid] = [each.classid for each in self.leases.leased(sets) if each.key == sets.key(number(address))]
        return self.rate("lan0" if sets.direction is Direction.DOWN else "wan0", classid)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.settle()
    return made


def test_a_pool_is_made_and_everybody_in_it_is_as_fast_as_the_line(rig: Rig) -> None:
    for device in ("lan0", "wan0"):
        classes = rig.traffic.devices[device].classes
        assert classes is not None
        assert len(classes) == 1 + 4
        assert {each.rate for each in classes.values()} == {LINE}
    assert rig.capper.state.active
    assert not rig.capper.state.trouble


def test_a_heavy_subscriber_is_held_to_the_cap_of_its_plan_and_direction(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1", "203.0.113.3", "203.0.113.9")
    rig.heavy(UP4, "203.0.113.1")
    assert rig.rate_of(DOWN4, "203.0.113.1") == Rate(2_000_000)
    assert rig.rate_of(DOWN4, "203.0.113.3") == Rate(8_000_000)
    assert rig.rate_of(DOWN4, "203.0.113.9") == Rate(2_000_000)
    assert rig.rate_of(UP4, "203.0.113.1") == Rate(1_000_000)
    assert rig.capper.state.capped == {(FlowClass.P2P, Shaped): 3}


def test_a_plan_whose_class_is_off_is_never_capped(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.4")
    assert not rig.leases.leased(DOWN4)
    assert not rig.leases.policed(DOWN4)


def test_all_addresses_of_a_subscriber_share_one_class(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    rig.heavy(DOWN4, "203.0.113.2")
    rig.heavy(DOWN6, "2001:db8:d:1::77")
    classes = {each.classid for sets in (DOWN4, DOWN6) for each in rig.leases.leased(sets)}
    assert len(classes) == 1
    assert len(rig.leases.leased(DOWN4)) == 2
    assert [each.key for each in rig.leases.leased(DOWN6)] == [number("2001:db8:d:1::")]


def test_beyond_the_pool_subscribers_are_policed_with_one_bucket_each(rig: Rig) -> None:
    rig.heavy(DOWN4, *(f"203.0.113.{last}" for last in range(10, 14)))
    rig.heavy(DOWN4, "203.0.113.1", "203.0.113.2")
    assert len(rig.leases.leased(DOWN4)) == 4
    assert len({each.bucket for each in rig.leases.policed(DOWN4)}) == 1
    assert [bucket.rate for bucket in rig.leases.buckets()] == [Rate(2_000_000)]
    assert rig.capper.state.capped == {(FlowClass.P2P, Shaped): 4, (FlowClass.P2P, Policed): 1}


def test_who_is_policed_while_the_pool_is_made_gets_a_class_of_it_then(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 200")  # more steps than are made in a tick
    rig.heavy(DOWN4, "203.0.113.1")
    assert rig.capper.state.capped == {(FlowClass.P2P, Policed): 1}
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1")
    assert rig.capper.state.capped == {(FlowClass.P2P, Shaped): 1}
    assert rig.leases.buckets() == ()


def test_a_lease_is_returned_when_nobody_uses_it(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    [lease] = rig.leases.leased(DOWN4)
    for _ in range(8):
        rig.traffic.send("lan0", lease.classid, 1500)
        rig.tick(IDLE_AFTER / 4)
    assert rig.leases.leased(DOWN4) == (lease,)
    for _ in range(10):
        rig.tick(USE_SECONDS)
    assert not rig.leases.leased(DOWN4)
    assert rig.rate("lan0", lease.classid) == LINE
    assert rig.capper.state.capped == {}


def test_a_policed_subscriber_is_let_go_when_its_flows_are_seen_no_more(rig: Rig) -> None:
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 0")
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1")
    rig.tick(IDLE_AFTER - 1)
    rig.heavy(DOWN4, "203.0.113.1")
    rig.tick(IDLE_AFTER - 1)
    assert len(rig.leases.policed(DOWN4)) == 1
    rig.tick(USE_SECONDS)
    assert not rig.leases.policed(DOWN4)
    assert not rig.leases.buckets()


@pytest.mark.parametrize("pool", ["4", "0"])
def test_another_rate_takes_effect_on_live_leases(rig: Rig, pool: str) -> None:
    rig.change("rules.d/50-caps.yaml", "pool: 4", f"pool: {pool}")
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1", "203.0.113.2")
    rig.change("rules.d/50-caps.yaml", "down: 2mbit", "down: 3mbit")
    rig.tick()
    if pool == "4":
        assert rig.rate_of(DOWN4, "203.0.113.1") == Rate(3_000_000)
    else:
        assert [bucket.rate for bucket in rig.leases.buckets()] == [Rate(3_000_000)]
        assert len(rig.leases.policed(DOWN4)) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [("c1,203.0.113.1/32 203.0.113.2/32", "c1,203.0.113.1/32"), ("2001:db8:d:1::/64,\n", "2001:db8:d:1::/64,free\n")],
    ids=["the address is somebody else's", "the plan has no cap"],
)
def test_a_lease_ends_with_its_reason(rig: Rig, old: str, new: str) -> None:
    rig.heavy(DOWN4, "203.0.113.2")
    assert rig.leases.leased(DOWN4)
    rig.change("subscribers.csv", old, new)
    rig.tick()
    assert not rig.leases.leased(DOWN4)


def test_no_caps_any_more_leaves_nothing_behind(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    rig.change("rules.d/50-caps.yaml", "policy: caps\n", "policy: caps\nmode: off\n")
    rig.tick()
    assert not rig.leases.leased(DOWN4)
    assert rig.traffic.devices["lan0"].classes is None
    assert not rig.capper.state.active


def test_another_programs_qdisc_stays_and_its_direction_is_policed(rig: Rig, tmp_path: Path) -> None:
    rig.traffic.devices["lan0"] = FakeDevice(foreign="tbf")
    rig.tick(AUDIT_SECONDS)
    rig.heavy(DOWN4, "203.0.113.1")
    rig.heavy(UP4, "203.0.113.1")
    assert len(rig.leases.policed(DOWN4)) == len(rig.leases.leased(UP4)) == 1
    assert "tbf" in rig.capper.state.policed[Direction.DOWN]
    assert rig.traffic.devices["lan0"].foreign == "tbf"


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
    assert rig.capper.is_building
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


def test_a_daemon_begins_with_no_lease_of_the_one_before_it(rig: Rig) -> None:
    rig.heavy(DOWN4, *(f"203.0.113.{last}" for last in range(10, 16)))
    assert rig.leases.policed(DOWN4)
    rig.capper = Capper(rig.leases, rig.traffic, rig.clock, lambda _: LINE)
    rig.settle()
    assert not rig.leases.leased(DOWN4)
    assert not rig.leases.policed(DOWN4)
    assert not rig.leases.buckets()
    assert {each.rate for each in (rig.traffic.devices["lan0"].classes or {}).values()} == {LINE}


def test_what_the_kernel_refuses_ends_all_caps_until_the_next_try(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.heavy(DOWN4, "203.0.113.1")

    monkeypatch.setattr(rig.leases, "apply", fails_once(rig.leases.apply, monkeypatch, rig))
    rig.heavy(DOWN4, "203.0.113.9")
    assert rig.capper.state.trouble == "no room"
    assert not rig.leases.leased(DOWN4)
    rig.tick(RETRY_SECONDS)
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.9")
    assert not rig.capper.state.trouble
    assert rig.rate_of(DOWN4, "203.0.113.9") == Rate(2_000_000)


def fails_once(apply: Apply, monkeypatch: pytest.MonkeyPatch, rig: Rig) -> Apply:
    """Refuses, and leaves the true one in its place."""

    def refused(steps: tuple[LeaseStep, ...]) -> None:
        monkeypatch.setattr(rig.leases, "apply", apply)
        raise KernelError("no room")

    return refused


def test_a_lease_whose_class_a_stranger_makes_anew_again_and_again_is_in_use(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    [lease] = rig.leases.leased(DOWN4)
    rig.traffic.send("lan0", lease.classid, 10**9)
    for left in range(int(2 * IDLE_AFTER / USE_SECONDS), 0, -1):
        rig.traffic.devices["lan0"] = FakeDevice()
        rig.capper.strangers.note("lan0", UNKNOWN)
        rig.settle()
        rig.traffic.send("lan0", lease.classid, left * 1_000_000)
        rig.tick(USE_SECONDS)
    assert rig.leases.leased(DOWN4) == (lease,)


def test_what_top_shows(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.3", "203.0.113.9")
    rig.tick(USE_SECONDS)
    for lease in rig.leases.leased(DOWN4):
        rig.traffic.send("lan0", lease.classid, 500_000)
    rig.tick(USE_SECONDS)
    shown = sorted((use.subscriber, use.plan, use.cap, round(use.rate or 0), use.method) for use in rig.capper.state.uses)
    assert shown == [
        ("203.0.113.9/32", None, 2_000_000, 2_000_000, Shaped),
        ("c2", "gold", 8_000_000, 2_000_000, Shaped),
    ]


def test_what_a_class_dropped_is_told_a_second(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.3")
    rig.tick(USE_SECONDS)
    classes = rig.traffic.devices["lan0"].classes
    assert classes is not None
    [lease] = rig.leases.leased(DOWN4)
    found = classes[lease.classid]
    found.use = found.use._replace(drops=30)
    rig.tick(USE_SECONDS)
    assert [round(use.dropped or 0) for use in rig.capper.state.uses] == [15]
    rig.tick(USE_SECONDS)
    assert [use.dropped for use in rig.capper.state.uses] == [0]


def test_of_who_is_policed_no_rate_is_counted(rig: Rig) -> None:
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 0")
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.3")
    rig.tick(USE_SECONDS)
    assert [(use.method, use.rate, use.dropped) for use in rig.capper.state.uses] == [(Policed, None, None)]


def test_what_a_tree_sent_before_the_daemon_began_is_nobodys_rate(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.3")
    [lease] = rig.leases.leased(DOWN4)
    rig.traffic.send("lan0", lease.classid, 10**12)
    rig.capper = Capper(rig.leases, rig.traffic, rig.clock, lambda _: LINE)
    rig.heavy(DOWN4, "203.0.113.3")
    assert [use.rate for use in rig.capper.state.uses] == [None]
    rig.tick(USE_SECONDS)
    assert [use.rate for use in rig.capper.state.uses] == [0]


def test_what_was_shaped_is_counted_by_class_and_direction_and_never_goes_back(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.3", "203.0.113.9")
    rig.heavy(UP4, "203.0.113.9")
    rig.tick(USE_SECONDS)
    for lease in rig.leases.leased(DOWN4):
        rig.traffic.send("lan0", lease.classid, 700)
    rig.tick(USE_SECONDS)
    assert rig.capper.state.shaped == {(FlowClass.P2P, Direction.DOWN): 1400}
    rig.traffic.devices["lan0"].classes = None  # the device was made anew, and its classes have sent nothing
    rig.tick(USE_SECONDS)
    rig.settle()
    rig.tick(IDLE_AFTER + USE_SECONDS)
    rig.capper.release()
    assert rig.capper.state.shaped == {(FlowClass.P2P, Direction.DOWN): 1400}


def test_how_many_classes_are_leased(rig: Rig) -> None:
    rig.heavy(DOWN4, *(f"203.0.113.{last}" for last in range(10, 16)))
    rig.heavy(UP4, "203.0.113.1")
    assert rig.capper.state.leased == {Direction.DOWN: 4, Direction.UP: 1}
    assert rig.capper.state.pools == {Direction.DOWN: 4, Direction.UP: 4}


def test_a_qdisc_that_may_be_replaced_is(rig: Rig) -> None:
    rig.traffic.devices["lan0"] = FakeDevice(foreign="tbf")
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 4\nreplace_qdiscs: [lan0]")
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1")
    assert len(rig.leases.leased(DOWN4)) == 1
    assert rig.traffic.devices["lan0"].foreign is None
    assert not rig.capper.state.policed


def test_release_says_on_which_devices_trees_were_and_leaves_others(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    rig.traffic.devices["wan1"] = FakeDevice(foreign="hfsc")
    assert rig.capper.release() == ("lan0", "wan0")
    assert rig.traffic.devices == {"lan0": FakeDevice(), "wan0": FakeDevice(), "wan1": FakeDevice(foreign="hfsc")}
    assert not rig.leases.leased(DOWN4)
    assert rig.capper.release() == ()


def test_a_daemon_without_caps_removes_the_trees_of_one_that_had_some(rig: Rig) -> None:
    rig.heavy(DOWN4, "203.0.113.1")
    rig.capper = Capper(rig.leases, rig.traffic, rig.clock, lambda _: LINE)
    rig.change("rules.d/50-caps.yaml", "policy: caps\n", "policy: caps\nmode: off\n")
    rig.tick()
    assert rig.traffic.devices == {"lan0": FakeDevice(), "wan0": FakeDevice()}
    assert not rig.leases.leased(DOWN4)


def test_without_htb_everybody_is_policed(rig: Rig) -> None:
    rig.traffic.htb = False
    rig.capper = Capper(rig.leases, rig.traffic, rig.clock, lambda _: LINE)
    rig.settle()
    rig.heavy(DOWN4, "203.0.113.1")
    assert len(rig.leases.policed(DOWN4)) == 1
    assert set(rig.capper.state.policed.values()) == {"this kernel has no HTB"}
