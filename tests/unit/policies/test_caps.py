"""Caps by its compiled table: which flows are handed out, what an answer makes of a connection, and who counts as heavy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.addresses import Family, Range, span
from edged.config.caps import BulkCap
from edged.config.problem import Severity
from edged.marks import FlowClass, MarkFields, in_field
from edged.packet.packet import FlowState, Packet
from edged.policies import Caps, Op25b, Site
from edged.policies.capping import CAPPED, QUEUED_PACKETS, TCP_PACKETS, UDP_PACKETS
from edged.policies.heavy import live_set
from edged.ruleset.evaluate import Decision, Outcome
from edged.ruleset.nodes import ConntrackDirection, ConntrackState, Direction, Drop, HasLease, OverLimit, Queue, Remember, Side
from edged.ruleset.sets import Holds, LiveSet
from edged.ruleset.tree import Table
from tests.gateway import (
    BOTH,
    CLASSES,
    GUARDED_SITE,
    ICMP,
    NOW,
    SITE,
    TCP,
    UDP,
    Addresses,
    between,
    down,
    judge,
    make,
    prefixes,
    table_of,
    up,
)

both_families = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)
each_class = pytest.mark.parametrize("flow_class", CAPPED, ids=lambda each: each.label)
MARKS = MarkFields()
ESTABLISHED, ORIGINAL = ConntrackState.ESTABLISHED, ConntrackDirection.ORIGINAL
UNTRACKED, INVALID = FlowState(ConntrackState.UNTRACKED, None), FlowState(ConntrackState.INVALID, None)
AFTER = {FlowClass.P2P: 10_000_000, FlowClass.STREAMING: 50_000_000, FlowClass.BULK: 500_000_000}


def flow(flow_class: FlowClass = FlowClass.NONE, octets: int = 0, packets: int = 100, more: int = 0) -> FlowState:
    """Of that class, with those other bits in its mark."""
    mark = in_field(MARKS.flow_class, flow_class) | more
    return FlowState(ESTABLISHED, ORIGINAL, mark, octets, packets)


def answered(packet: Packet, flow_class: FlowClass) -> Packet:
    """The packet as it comes from an inspector that has decided."""
    return replace(packet, mark=0xA500_00A5 | MARKS.inspected | in_field(MARKS.flow_class, flow_class))


def names(decision: Decision, kind: type[object]) -> list[str]:
    """The rules that matched and end in this."""
    return [rule.name for rule in decision.matched if isinstance(rule.then, kind)]


def heavy(packet: Packet, state: FlowState, site: Site = SITE, **settings: object) -> bool:
    """Whether the packet's subscriber is remembered for it."""
    decision = judge([make(Caps, **settings)], packet, state, site)
    assert decision.outcome is Outcome.ACCEPT, "by the rules alone nothing is stopped"
    return bool(names(decision, Remember))


# --- which packets an inspector sees ---


@both_families
@pytest.mark.parametrize(
    ("protocol", "state", "packets", "seen"),
    [
        (TCP, ESTABLISHED, 2, True),
        (TCP, ESTABLISHED, TCP_PACKETS - 1, True),
        (TCP, ESTABLISHED, TCP_PACKETS, False),
        (TCP, ConntrackState.NEW, 1, False),
        (UDP, ConntrackState.NEW, 1, True),
        (UDP, ESTABLISHED, UDP_PACKETS - 1, True),
        (UDP, ESTABLISHED, UDP_PACKETS, False),
        (ICMP, ConntrackState.NEW, 1, False),
    ],
)
def test_the_first_packets_of_a_flow_are_handed_out(
    at: Addresses, protocol: int, state: ConntrackState, packets: int, seen: bool
) -> None:
    for packet in (
        up(at.dynamic, at.outside, protocol),
        down(at.outside, at.static, protocol),
        up(at.outside, at.dynamic, protocol),
    ):
        decision = judge([make(Caps)], packet, FlowState(state, ORIGINAL, 0, 0, packets))
        assert bool(names(decision, Queue)) is seen
        assert decision.outcome is Outcome.ACCEPT


@both_families
def test_what_was_answered_is_never_handed_out_again(at: Addresses) -> None:
    state = FlowState(ESTABLISHED, ORIGINAL, MARKS.inspected | 0x5A00_005A, 0, 3)
    assert not names(judge([make(Caps)], up(at.dynamic, at.outside), state), Queue)


@both_families
@pytest.mark.parametrize("state", [UNTRACKED, INVALID], ids=["untracked", "invalid"])
def test_without_a_connection_nothing_is_handed_out_or_capped(at: Addresses, state: FlowState) -> None:
    for packet in (up(at.dynamic, at.outside, UDP), down(at.outside, at.dynamic, UDP)):
        decision = judge([make(Caps)], answered(packet, FlowClass.P2P), state)
        assert (decision.outcome, decision.mark) == (Outcome.ACCEPT, 0)
        assert not names(decision, Queue)
        assert not names(decision, Remember)


@pytest.mark.parametrize("queues", [1, 4])
def test_each_inspector_has_a_queue(queues: int) -> None:
    found = {rule.then for rule in table_of([make(Caps, queues=queues)]).rules() if isinstance(rule.then, Queue)}
    assert found == {Queue(queues)}


def test_where_only_bulk_is_capped_nobody_is_inspected() -> None:
    table = table_of([make(Caps, classes={"bulk": CLASSES["bulk"]})])
    assert not {"caps_inspect", "note"} & table.chains_by_name.keys()
    assert not [rule for rule in table.rules() if isinstance(rule.then, Queue)]


# --- what an answer makes of a connection ---


@both_families
@pytest.mark.parametrize("flow_class", [FlowClass.P2P, FlowClass.STREAMING, FlowClass.NONE])
def test_an_answer_goes_into_the_connections_mark_and_foreign_bits_stay(at: Addresses, flow_class: FlowClass) -> None:
    decision = judge([make(Caps)], answered(up(at.dynamic, at.outside), flow_class), flow(more=0x5A00_015A))
    assert decision.mark == 0x5A00_015A | MARKS.inspected | in_field(MARKS.flow_class, flow_class)


@both_families
def test_an_answer_that_names_no_class_leaves_the_one_there_is(at: Addresses) -> None:
    decision = judge([make(Caps)], answered(up(at.dynamic, at.outside), FlowClass.NONE), flow(FlowClass.BULK))
    assert MARKS.class_in(decision.mark) is FlowClass.BULK


@both_families
def test_the_fields_are_where_the_mask_puts_them(at: Addresses) -> None:
    fields = MarkFields(0xFFF0_0000)
    packet = replace(up(at.dynamic, at.outside), mark=fields.inspected | in_field(fields.flow_class, FlowClass.P2P))
    decision = judge([make(Caps)], packet, site=replace(SITE, marks=fields))
    assert (decision.mark, fields.class_in(decision.mark)) == (packet.mark, FlowClass.P2P)


@both_families
@pytest.mark.parametrize(("octets", "found"), [(500_000_000, 0), (500_000_001, MARKS.heavy)])
def test_a_flow_of_no_class_that_moved_much_is_a_candidate_for_bulk(at: Addresses, octets: int, found: int) -> None:
    decision = judge([make(Caps)], down(at.outside, at.dynamic), flow(octets=octets, more=0x5A00_005A))
    assert decision.mark == 0x5A00_005A | found
    assert not names(decision, Remember), "whether it lasts is still to be measured"


@both_families
def test_a_candidate_is_found_by_the_least_volume_of_any_plan(at: Addresses) -> None:
    plans = {"small": {"bulk": {"after": "100MB"}}, "large": {"bulk": {"after": "1GB"}}, "none": {"bulk": "off"}}
    decision = judge([make(Caps, plans=plans)], down(at.outside, at.dynamic), flow(octets=100_000_001))
    assert decision.mark == MARKS.heavy


@both_families
def test_what_an_earlier_policy_stopped_meets_no_cap(at: Addresses) -> None:
    decision = judge([make(Op25b), make(Caps)], answered(up(at.dynamic, at.outside), FlowClass.P2P), flow())
    assert (decision.outcome, decision.mark) == (Outcome.REJECT, 0)
    assert not names(decision, Queue)


# --- who is heavy ---


@both_families
@each_class
def test_past_its_volume_a_flow_of_a_class_is_heavy_both_ways(at: Addresses, flow_class: FlowClass) -> None:
    after = AFTER[flow_class]
    for packet in (up(at.dynamic, at.outside), down(at.outside, at.dynamic), up(at.static, at.outside)):
        assert not heavy(packet, flow(flow_class, after))
        assert heavy(packet, flow(flow_class, after + 1))
        assert not heavy(packet, flow(FlowClass.NONE, after + 1))
        assert not heavy(packet, flow(FlowClass.NONE, after + 1, more=MARKS.heavy))


@both_families
@each_class
def test_it_is_remembered_in_its_classs_and_directions_own_set(at: Addresses, flow_class: FlowClass) -> None:
    ways = (
        (Direction.UP, Side.SOURCE, up(at.dynamic, at.outside)),
        (Direction.DOWN, Side.DESTINATION, down(at.outside, at.dynamic)),
    )
    for direction, side, packet in ways:
        decision = judge([make(Caps)], packet, flow(flow_class, AFTER[flow_class] + 1))
        [found] = [rule.then for rule in decision.matched if isinstance(rule.then, Remember)]
        made = live_set(Holds.NOTHING, direction, flow_class, at.family)
        assert (found.side, found.family, found.set) == (side, at.family, made.name)


@both_families
def test_a_class_that_is_not_capped_is_not_heavy(at: Addresses) -> None:
    classes = {"streaming": CLASSES["streaming"]}
    for flow_class in (FlowClass.P2P, FlowClass.BULK):
        assert not heavy(down(at.outside, at.dynamic), flow(flow_class, 10**12), classes=classes)


@both_families
def test_only_the_pools_that_are_named_are_covered(at: Addresses) -> None:
    state = flow(FlowClass.P2P, 10**9)
    assert not heavy(down(at.outside, at.static), state, pools=["dynamic"])
    assert heavy(down(at.outside, at.dynamic), state, pools=["dynamic"])
    assert not heavy(down(at.outside, at.after_dynamic), state), "outside of every pool"


@both_families
def test_what_goes_out_to_no_known_side_is_left_alone(at: Addresses) -> None:
    assert not heavy(replace(down(at.outside, at.dynamic), goes_out="eth7"), flow(FlowClass.P2P, 10**9))


@both_families
def test_between_subscribers_the_receiver_is_held(at: Addresses) -> None:
    decision = judge([make(Caps)], between(up(at.dynamic, at.static)), flow(FlowClass.P2P, 10**9))
    assert names(decision, Remember) == [f"caps_down_p2p_heavy.wanted.{at.family.value}"]


@both_families
@each_class
def test_a_flow_that_moved_no_more_than_the_least_volume_is_asked_nothing_more(at: Addresses, flow_class: FlowClass) -> None:
    for least, plans in ((AFTER[FlowClass.P2P], {}), (1_000_000, {"own": {"streaming": {"after": "1MB"}}})):
        policies = [make(Caps, plans=plans)]
        decided = [judge(policies, up(at.dynamic, at.outside), flow(flow_class, least + more)) for more in (0, 1)]
        met = [[rule.name for rule in each.matched if rule.name != "caps_inspect.enter"] for each in decided]
        assert not met[0]
        assert met[1][0] == "shape.moved"


@both_families
@each_class
def test_g1_a_never_block_far_end_is_never_held(at: Addresses, flow_class: FlowClass) -> None:
    state = flow(flow_class, 10**12)
    for packet in (up(at.dynamic, at.guarded), down(at.guarded, at.dynamic)):
        assert heavy(packet, state)
        assert not heavy(packet, state, GUARDED_SITE)
        decision = judge([make(Caps)], packet, state, GUARDED_SITE)
        assert decision.exempted_by is not None
        assert decision.exempted_by.origin == GUARDED_SITE.never_block_origin


@both_families
@each_class
def test_what_makes_a_flow_heavy_is_asked_once_and_stands_in_its_mark(at: Addresses, flow_class: FlowClass) -> None:
    after, none = AFTER[flow_class], flow(flow_class, more=0x5A00_005A)
    for packet in (up(at.dynamic, at.outside), down(at.outside, at.dynamic)):
        assert judge([make(Caps)], packet, replace(none, octets=after)).mark == none.mark
        marked = judge([make(Caps)], packet, replace(none, octets=after + 1)).mark
        assert marked == none.mark | MARKS.heavy
        decision = judge([make(Caps)], packet, replace(none, mark=marked), GUARDED_SITE)
        assert names(decision, Remember)
        assert not [rule.name for rule in decision.matched if "moved" in rule.name or "found" in rule.name]


@both_families
@each_class
def test_g1_a_flow_with_a_never_block_far_end_never_becomes_heavy(at: Addresses, flow_class: FlowClass) -> None:
    for packet in (up(at.dynamic, at.guarded), down(at.guarded, at.dynamic)):
        state = flow(flow_class, 10**12, more=MARKS.inspected)
        assert judge([make(Caps)], packet, state, GUARDED_SITE).mark == state.mark


@both_families
def test_an_answer_that_comes_late_takes_the_weight_of_a_candidate_away(at: Addresses) -> None:
    """What is much for bulk says nothing of p2p: that is asked at the next packet."""
    decision = judge([make(Caps)], answered(up(at.dynamic, at.outside), FlowClass.P2P), flow(more=MARKS.heavy))
    assert decision.mark == MARKS.inspected | in_field(MARKS.flow_class, FlowClass.P2P)


def test_leases_and_limits_are_asked_before_anybody_is_remembered() -> None:
    """By the evaluator neither ever holds, so the order is read off the table."""
    table = table_of([make(Caps)], GUARDED_SITE)
    for direction in ("up", "down"):
        for flow_class in CAPPED:
            chain = table.chains_by_name[f"caps_{direction}_{flow_class.label}_heavy"]
            asked = [type(rule.when[0]).__name__ for rule in chain.rules]
            assert asked == ["HasLease", "HasLease", "OverLimit", "OverLimit", "AddressIn", "AddressIn"]


# --- plans ---


def planned(at: Addresses, **plans: object) -> dict[str, object]:
    """The site in which the dynamic address is of plan `own`, and those plans."""
    members = {"own": {at.family: tuple(span(prefix) for prefix in prefixes(str(at.dynamic)))}}
    return {"site": replace(SITE, plans=members), "plans": plans}


@both_families
@each_class
@pytest.mark.parametrize(
    ("own", "least"),
    [({"after": "1MB"}, 1_000_001), ({"after": "9GB"}, 9_000_000_001), ({"down": "50mbit"}, None), ({}, None), ("off", 1 << 62)],
    ids=str,
)
def test_a_plans_subscribers_are_heavy_from_its_own_volume(
    at: Addresses, flow_class: FlowClass, own: object, least: int | None
) -> None:
    settings = planned(at, own={flow_class.label: own})
    least = least or AFTER[flow_class] + 1
    for packet in (up(at.dynamic, at.outside), down(at.outside, at.dynamic)):
        assert not heavy(packet, flow(flow_class, least - 1), **settings)  # type: ignore[arg-type]
        assert heavy(packet, flow(flow_class, least), **settings) is (own != "off")  # type: ignore[arg-type]
    for packet in (up(at.dynamic + 1, at.outside), down(at.outside, at.static)):
        assert not heavy(packet, flow(flow_class, AFTER[flow_class]), **settings)  # type: ignore[arg-type]
        assert heavy(packet, flow(flow_class, AFTER[flow_class] + 1), **settings)  # type: ignore[arg-type]


def test_plans_of_any_names_stand_side_by_side() -> None:
    names = ("free", "after", "light", "a", "a-light", "a_4", "4", "set", "A", "x" * 32)
    plans = {name: {"p2p": {"after": f"{place}MB"}} for place, name in enumerate(names, start=20)} | {"off": {"p2p": "off"}}
    members = {name: {Family.IPV4: (Range(place, place),)} for place, name in enumerate((*names, "off"))}
    table = table_of([make(Caps, plans=plans)], replace(SITE, plans=members))
    assert len([rule for rule in table.rules() if rule.name.startswith("caps_up_p2p.plan.")]) == 2 * len(names)


def test_a_plan_that_nobody_has_makes_no_set() -> None:
    plans = {"own": {"p2p": "off", "streaming": {"after": "1MB"}}}
    assert table_of([make(Caps, plans=plans)]).sets_by_name.keys() == {"caps_pool4", "caps_pool6"}


def test_the_caps_of_a_plan_are_the_general_ones_but_for_what_it_says() -> None:
    caps = make(Caps, plans={"business": {"p2p": {"down": "50mbit"}, "streaming": "off", "bulk": {"for": "5m"}}})
    assert isinstance(caps, Caps)
    general, own = caps.cap(FlowClass.P2P), caps.cap(FlowClass.P2P, "business")
    assert general is not None
    assert own is not None
    assert (general.after, general.down, general.up) == (10_000_000, 2_000_000, 1_000_000)
    assert (own.after, own.down, own.up) == (10_000_000, 50_000_000, 1_000_000)
    assert caps.cap(FlowClass.STREAMING, "business") is None
    bulk = caps.cap(FlowClass.BULK, "business")
    assert isinstance(bulk, BulkCap)
    assert (bulk.sustained, bulk.lasting, bulk.after) == (20_000_000, 300.0, 500_000_000)
    assert caps.cap(FlowClass.P2P, "home") == caps.cap(FlowClass.P2P, None) == general
    assert caps.cap(FlowClass.NONE) is None


# --- the table ---


def test_the_maps_and_sets_that_others_fill() -> None:
    table = table_of([make(Caps)])
    assert {each.name for each in table.sets if isinstance(each, LiveSet)} == {
        f"{word}_{direction}_{name}{number}"
        for word in ("heavy", "lease", "police")
        for direction in ("up", "down")
        for name in ("p2p", "streaming", "bulk")
        for number in "46"
    }
    for rule in table.rules():
        for match in rule.when:
            if isinstance(match, HasLease | OverLimit):
                assert match.family is (Family.IPV4 if match.map.endswith("4") else Family.IPV6)


def test_what_is_dropped_is_counted_by_class_direction_and_family() -> None:
    """What is shaped is counted by its tc class."""
    assert {counter.name for counter in table_of([make(Caps)]).counters} == {
        f"caps_{direction}_{name}_{family}_drop"
        for direction in ("up", "down")
        for name in ("p2p", "streaming", "bulk")
        for family in ("ip", "ip6")
    } | {"caps_queue"}


def test_what_is_queued_is_counted_whichever_rule_queues_it() -> None:
    assert {rule.count for rule in table_of([make(Caps)]).rules() if isinstance(rule.then, Queue)} == {QUEUED_PACKETS}


@both_families
@each_class
def test_g4_observe_marks_and_counts_what_enforce_would_hold(at: Addresses, flow_class: FlowClass) -> None:
    policy = make(Caps, mode="observe")
    for direction, packet in ((Direction.UP, up(at.dynamic, at.outside)), (Direction.DOWN, down(at.outside, at.dynamic))):
        light = judge([policy], packet, flow(flow_class, AFTER[flow_class]))
        seen = judge([policy], packet, flow(flow_class, AFTER[flow_class] + 1))
        assert not light.counted
        [counter] = [rule.count for rule in seen.counted if rule.count is not None]
        assert counter.name == f"caps_{direction.value}_{flow_class.label}_{at.family.value}_observe"
    assert MARKS.class_in(judge([policy], answered(packet, FlowClass.P2P)).mark) is FlowClass.P2P


def test_g4_observe_has_nothing_that_could_hold_a_packet() -> None:
    table: Table = table_of([make(Caps, mode="observe")])
    assert not [each for each in table.sets if isinstance(each, LiveSet)]
    assert not [rule for rule in table.rules() if isinstance(rule.then, Drop)]


def test_of_one_family_there_is_nothing_where_it_has_no_pool() -> None:
    site = replace(SITE, pools={name: tuple(p for p in pool if p.version == 4) for name, pool in SITE.pools.items()})
    assert not [each.name for each in table_of([make(Caps)], site).sets if each.family is Family.IPV6]


# --- what an operator hears ---


@pytest.mark.parametrize(
    ("settings", "path", "message", "severity"),
    [
        ({"classes": {}}, ("classes",), "expected at least one of p2p, streaming and bulk", Severity.ERROR),
        (
            {"classes": {"p2p": CLASSES["p2p"]}, "plans": {"business": {"bulk": "off"}}},
            ("plans", "business", "bulk"),
            "class 'bulk' is not in `classes`",
            Severity.ERROR,
        ),
        (
            {"classes": {"p2p": CLASSES["p2p"]}, "streaming_hosts": "hosts.txt"},
            ("streaming_hosts",),
            "class 'streaming' is not capped",
            Severity.WARNING,
        ),
        (
            {"classes": {"bulk": CLASSES["bulk"] | {"down": "30mbit", "up": "20mbit"}}},
            ("classes", "bulk"),
            "would not be slowed",
            Severity.WARNING,
        ),
        (
            {"plans": {"fast": {"bulk": {"down": "1gbit", "up": "1gbit"}}}},
            ("plans", "fast", "bulk"),
            "would not be slowed",
            Severity.WARNING,
        ),
        ({"pools": ["static", "static"]}, ("pools", 1), "is named twice", Severity.WARNING),
    ],
    ids=str,
)
def test_what_is_odd_is_told(settings: dict[str, object], path: tuple[object, ...], message: str, severity: Severity) -> None:
    [found] = make(Caps, **settings).review(SITE, NOW)
    assert (found.path, found.severity) == (path, severity)
    assert message in found.message


def test_the_shipped_numbers_are_not_odd() -> None:
    assert not list(make(Caps).review(SITE, NOW))
