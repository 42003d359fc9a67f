"""OP25B by its statements (OP-1 to OP-11), judged by the simulator in both families."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.addresses import Address
from edged.packet.packet import FlowState
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.compile import compile_table
from edged.ruleset.evaluate import Outcome
from edged.ruleset.fragment import Entry, Fragment, Point
from edged.ruleset.nodes import (
    AddressIn,
    CameIn,
    ConntrackDirection,
    ConntrackState,
    Drop,
    Goto,
    IsFamily,
    Jump,
    PortIs,
    RateAbove,
    ResetTcp,
    Side,
    Transport,
)
from edged.ruleset.tree import Rule
from tests.gateway import BOTH, NOW, SERVERS, SITE, TCP, UDP, Addresses, KeyAsOrigin, between, down, judge, make, table_of, up

ACCEPT, DROP, REJECT = Outcome.ACCEPT, Outcome.DROP, Outcome.REJECT
SUBSCRIBER_EXEMPT = {"until": NOW + 3600, "owner": "noc", "reason": "ticket 4711"}

pytestmark = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)

EVERY_STATE = [
    *(
        FlowState(state, direction)
        for state in (ConntrackState.NEW, ConntrackState.ESTABLISHED, ConntrackState.RELATED)
        for direction in ConntrackDirection
    ),
    FlowState(ConntrackState.INVALID, None),
    FlowState(ConntrackState.UNTRACKED, None),
]


def exempting(prefix: Address, **changes: object) -> Op25b:
    return make(Op25b, exempt={"subscribers": [{"prefix": str(prefix), **SUBSCRIBER_EXEMPT, **changes}]})


def test_op1_tcp_25_out_of_a_dynamic_pool_is_refused(at: Addresses) -> None:
    decision = judge([make(Op25b)], up(at.dynamic, at.outside))
    assert decision.outcome is REJECT
    assert decision.rule is not None
    assert decision.rule.count is not None
    assert decision.rule.count.name == f"op25b_up_{at.family.value}_reject"


def test_op1_the_first_and_last_address_of_the_pool_are_covered_and_their_neighbours_not(at: Addresses) -> None:
    for source, outcome in (
        (at.first_dynamic, REJECT),
        (at.last_dynamic, REJECT),
        (at.before_dynamic, ACCEPT),
        (at.after_dynamic, ACCEPT),
    ):
        assert judge([make(Op25b)], up(source, at.outside)).outcome is outcome, source


@pytest.mark.parametrize(("protocol", "dport"), [(TCP, 24), (TCP, 26), (TCP, 80), (UDP, 25), (TCP, None)])
def test_op1_only_tcp_25_matches(at: Addresses, protocol: int, dport: int | None) -> None:
    assert judge([make(Op25b)], up(at.dynamic, at.outside, protocol, dport=dport)).outcome is ACCEPT


def test_op2_tcp_from_port_25_into_a_dynamic_pool_is_dropped(at: Addresses) -> None:
    decision = judge([make(Op25b)], down(at.outside, at.dynamic))
    assert decision.outcome is DROP
    assert decision.rule is not None
    assert decision.rule.origin is not None
    assert decision.rule.origin.file == "op25b.replies"


@pytest.mark.parametrize(("protocol", "sport"), [(TCP, 24), (TCP, 26), (UDP, 25)])
def test_op2_only_tcp_from_port_25_matches(at: Addresses, protocol: int, sport: int) -> None:
    assert judge([make(Op25b)], down(at.outside, at.dynamic, protocol, sport)).outcome is ACCEPT


def test_op2_replies_pass_leaves_the_inbound_side_open_and_the_outbound_side_shut(at: Addresses) -> None:
    policy = make(Op25b, replies="pass")
    assert judge([policy], down(at.outside, at.dynamic)).outcome is ACCEPT
    assert judge([policy], up(at.dynamic, at.outside)).outcome is REJECT


@pytest.mark.parametrize("flow", EVERY_STATE, ids=lambda flow: f"{flow.state.value}-{flow.direction and flow.direction.value}")
def test_op3_no_conntrack_state_gets_by(at: Addresses, flow: FlowState) -> None:
    policies = [make(Op25b), make(Ip53b), make(Spoof)]
    assert judge(policies, up(at.dynamic, at.outside), flow).outcome is REJECT
    assert judge(policies, down(at.outside, at.dynamic), flow).outcome is DROP


def test_op4_a_conversation_with_an_exempt_server_passes_both_ways(at: Addresses) -> None:
    policy = make(Op25b, exempt={"destinations": SERVERS})
    for packet in (up(at.dynamic, at.server), down(at.server, at.dynamic)):
        decision = judge([policy], packet)
        assert decision.outcome is ACCEPT
        assert decision.exempted_by is not None
        assert decision.exempted_by.origin is not None
        assert decision.exempted_by.origin.file == "op25b.exempt.destinations"


def test_op4_a_neighbour_of_an_exempt_server_is_not_exempt(at: Addresses) -> None:
    policy = make(Op25b, exempt={"destinations": SERVERS})
    for neighbour in (at.server - 1, at.server + 1):
        assert judge([policy], up(at.dynamic, neighbour)).outcome is REJECT
        assert judge([policy], down(neighbour, at.dynamic)).outcome is DROP


def test_op5_static_addresses_never_match(at: Addresses) -> None:
    for source in (at.static, at.static_inside):
        assert judge([make(Op25b)], up(source, at.outside)).outcome is ACCEPT
        assert judge([make(Op25b)], down(at.outside, source)).outcome is ACCEPT


def test_op5_the_longest_prefix_decides_also_for_dynamic_inside_static(at: Addresses) -> None:
    assert judge([make(Op25b)], up(at.dynamic_inside, at.outside)).outcome is REJECT


def test_op5_static_wins_where_both_pools_name_the_same_prefix(at: Addresses) -> None:
    same = tuple(prefix for prefix in SITE.pools[next(iter(SITE.pools))] if prefix.version == at.dynamic.version)
    tied = replace(SITE, pools=dict.fromkeys(SITE.pools, same))
    assert judge([make(Op25b)], up(at.dynamic, at.outside), site=tied).outcome is ACCEPT
    assert judge([make(Op25b, pools=["static"])], up(at.dynamic, at.outside), site=tied).outcome is REJECT


def test_op5_an_address_in_no_pool_never_matches(at: Addresses) -> None:
    assert judge([make(Op25b, pools=["dynamic", "static"])], up(at.before_dynamic, at.outside)).outcome is ACCEPT


def test_op6_mail_into_the_pools_is_not_this_policy(at: Addresses) -> None:
    assert judge([make(Op25b, scope="all")], down(at.outside, at.dynamic, sport=40000, dport=25)).outcome is ACCEPT


@pytest.mark.parametrize("port", [465, 587])
def test_op7_submission_passes_in_every_direction(at: Addresses, port: int) -> None:
    policies = [make(Op25b, scope="all", pools=["dynamic", "static"]), make(Ip53b, scope="all"), make(Spoof)]
    for packet in (
        up(at.dynamic, at.outside, dport=port),
        down(at.outside, at.dynamic, sport=port),
        down(at.outside, at.dynamic, sport=40000, dport=port),
        between(up(at.dynamic, at.first_dynamic, dport=port)),
    ):
        assert judge(policies, packet).outcome is ACCEPT


@pytest.mark.parametrize("port", [465, 587])
@pytest.mark.parametrize("side", list(Side), ids=lambda side: side.value)
def test_op7_the_compiler_refuses_a_rule_that_touches_submission(at: Addresses, port: int, side: Side) -> None:
    rule = Rule("smtps", (PortIs(Transport.TCP, side, port),), Drop())
    with pytest.raises(ValueError, match=f"submission port {port}"):
        compile_table(("lan0",), ("wan0",), [Fragment(entries=(Entry(Point.ANYWHERE, (rule,)),))])


def test_op8_action_drop_is_silent(at: Addresses) -> None:
    decision = judge([make(Op25b, action="drop")], up(at.dynamic, at.outside))
    assert decision.outcome is DROP
    assert decision.rule is not None
    assert decision.rule.count is not None
    assert decision.rule.count.verdict == "drop"


def test_op8_no_reset_is_sent_towards_upstream(at: Addresses) -> None:
    for scope in ("external", "all"):
        forged = replace(up(at.dynamic, at.outside), came_in="wan0")
        assert judge([make(Op25b, scope=scope)], forged).outcome is DROP


def test_op8_inbound_packets_are_never_answered(at: Addresses) -> None:
    table = table_of([make(Op25b, scope="all")])
    assert not [rule for rule in table.chains_by_name["op25b_down"].rules if isinstance(rule.then, Goto | ResetTcp)]
    assert judge([make(Op25b, scope="all")], down(at.outside, at.dynamic)).outcome is DROP


def test_op8_above_the_limit_the_reset_becomes_a_counted_drop(at: Addresses) -> None:
    table = table_of([make(Op25b)])
    rules = table.chains_by_name["op25b_refuse"].rules
    limited = next(place for place, rule in enumerate(rules) if any(isinstance(match, RateAbove) for match in rule.when))
    reset = next(place for place, rule in enumerate(rules) if rule.count is not None and rule.count.verdict == "reject")
    assert limited < reset
    assert rules[limited].then == Goto("op25b_discard")
    discard = table.chains_by_name["op25b_discard"].rules
    assert {rule.count.name for rule in discard if rule.count and rule.then == Drop()} >= {f"op25b_up_{at.family.value}_drop"}


def test_op8_a_forged_source_gets_no_reset_because_source_validation_comes_first(at: Addresses) -> None:
    table = table_of([make(Op25b), make(Spoof)])
    entered = [rule.then for rule in table.chains_by_name["forward"].rules]
    assert entered.index(Jump("from_access")) < entered.index(Jump("to_upstream"))
    covering_all = make(Op25b, pools=["dynamic", "static"])
    decision = judge([covering_all, make(Spoof)], up(at.before_dynamic, at.outside))
    assert decision.outcome is DROP
    assert decision.rule is not None
    assert decision.rule.name == f"spoof_up.{at.family.value}"


def test_op9_scope_external_leaves_traffic_between_subscribers_alone(at: Addresses) -> None:
    for packet in (up(at.dynamic, at.static), down(at.static, at.dynamic)):
        assert judge([make(Op25b)], between(packet)).outcome is ACCEPT


def test_op9_scope_all_covers_traffic_between_subscribers(at: Addresses) -> None:
    policy = make(Op25b, scope="all")
    assert judge([policy], between(up(at.dynamic, at.static))).outcome is REJECT
    assert judge([policy], between(down(at.static, at.dynamic))).outcome is DROP
    assert judge([policy], up(at.dynamic, at.outside)).outcome is REJECT
    assert judge([policy], down(at.outside, at.dynamic)).outcome is DROP


def test_op10_an_exempt_subscriber_passes_until_the_end_and_not_after(at: Addresses) -> None:
    policy = exempting(at.dynamic)
    for packet, stopped in ((up(at.dynamic, at.outside), REJECT), (down(at.outside, at.dynamic), DROP)):
        assert judge([policy], packet, now=NOW + 3599).outcome is ACCEPT
        assert judge([policy], packet, now=NOW + 3600).outcome is stopped, "ends in the kernel, whether or not a daemon runs"


def test_op10_an_exemption_that_is_over_is_not_written_at_all(at: Addresses) -> None:
    table = table_of([exempting(at.dynamic, until=NOW)])
    assert not [name for name in table.sets_by_name if name.startswith("op25b_exempt")]


def test_op10_a_neighbour_of_an_exempt_subscriber_is_not_exempt(at: Addresses) -> None:
    for neighbour in (at.dynamic - 1, at.dynamic + 1):
        assert judge([exempting(at.dynamic)], up(neighbour, at.outside)).outcome is REJECT


def test_op10_where_exemptions_nest_the_address_keeps_the_latest_end(at: Addresses) -> None:
    around = next(prefix for prefix in SITE.pools[next(iter(SITE.pools))] if at.dynamic in prefix)
    terms = {"owner": "noc", "reason": "ticket"}
    policy = make(
        Op25b,
        exempt={
            "subscribers": [
                {"prefix": str(at.dynamic), "until": NOW + 10, **terms},
                {"prefix": str(around), "until": NOW + 100, **terms},
                {"prefix": str(at.dynamic + 1), "until": NOW + 200, **terms},
            ]
        },
    )
    ends = {at.dynamic: NOW + 100, at.dynamic + 1: NOW + 200, at.dynamic + 2: NOW + 100}
    for source, end in ends.items():
        assert judge([policy], up(source, at.outside), now=end - 1).outcome is ACCEPT, source
        assert judge([policy], up(source, at.outside), now=end).outcome is REJECT, source


def test_op11_nothing_but_interfaces_addresses_and_ports_is_looked_at(at: Addresses) -> None:
    policy = exempting(at.dynamic).model_copy(update={"scope": "all"})
    fragment = policy.declare(SITE, KeyAsOrigin("op25b"), NOW)
    looked_at = {type(match) for rule in fragment.rules for match in rule.when}
    assert looked_at <= {AddressIn, CameIn, IsFamily, PortIs, RateAbove}
