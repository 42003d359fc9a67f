"""Leases given, changed and taken back, over a kernel in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.caps.book import IDLE_AFTER, Policed, Shaped
from edged.daemon.capper import RETRY_SECONDS, USE_SECONDS, Capper
from edged.daemon.strangers import AUDIT_SECONDS
from edged.kernel.tcfake import FakeDevice
from edged.marks import FlowClass
from edged.queueing.tree import Rate
from edged.ruleset.nodes import Direction
from tests.unit.daemon.capper_rig import DOWN4, DOWN6, LINE, UP4, Rig, fails_once, number, rig

__all__ = ["rig"]  # a fixture


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


def test_release_tells_the_devices_where_a_tick_was_faster(rig: Rig) -> None:
    rig.configuration = None
    rig.tick()
    assert rig.traffic.devices["lan0"].classes is None
    assert rig.capper.release() == ("lan0", "wan0")
    assert rig.capper.release() == ()


def test_trees_that_went_with_the_caps_are_none_that_a_teardown_took(rig: Rig) -> None:
    rig.change("rules.d/50-caps.yaml", "pool: 4", "pool: 4\nmode: off")
    rig.tick()
    assert rig.traffic.devices["lan0"].classes is None
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
