"""What is told of those who are capped, over a kernel in memory."""

from __future__ import annotations

from edged.caps.book import IDLE_AFTER, Policed, Shaped
from edged.daemon.capper import USE_SECONDS, Capper
from edged.marks import FlowClass
from edged.ruleset.nodes import Direction
from tests.unit.daemon.capper_rig import DOWN4, LINE, UP4, Rig, rig

__all__ = ["rig"]  # a fixture


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
