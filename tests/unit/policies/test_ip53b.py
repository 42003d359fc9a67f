"""IP53B by its statements (IP-1 to IP-9), judged by the simulator in both families."""

from __future__ import annotations

import pytest

from edged.addresses import Family
from edged.packet.packet import FlowState
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.evaluate import Outcome
from edged.ruleset.nodes import ConntrackDirection, ConntrackState, Direction, ResetTcp
from tests.gateway import BOTH, IPV4, IPV6, NOW, SITE, TCP, UDP, Addresses, between, down, judge, make, prefixes, table_of, up

ACCEPT, DROP = Outcome.ACCEPT, Outcome.DROP
REPLY = FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.REPLY)
INVALID = FlowState(ConntrackState.INVALID, None)
UNTRACKED = FlowState(ConntrackState.UNTRACKED, None)

both_families = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)


@both_families
def test_ip1_a_query_from_outside_to_a_dynamic_address_is_dropped(at: Addresses) -> None:
    decision = judge([make(Ip53b)], down(at.outside, at.dynamic, UDP, 40000, 53))
    assert decision.outcome is DROP
    assert decision.rule is not None
    assert decision.rule.count is not None
    assert decision.rule.count.direction is Direction.DOWN
    assert decision.rule.count.name == f"ip53b_down_{at.family.value}_drop"


@both_families
def test_ip1_each_of_the_three_conditions_is_needed(at: Addresses) -> None:
    policy = make(Ip53b)
    assert judge([policy], up(at.static, at.dynamic, UDP, dport=53)).outcome is ACCEPT, "not from upstream"
    assert judge([policy], down(at.outside, at.static, UDP, 40000, 53)).outcome is ACCEPT, "not dynamic"
    for port in (52, 54):
        assert judge([policy], down(at.outside, at.dynamic, UDP, 40000, port)).outcome is ACCEPT, "not port 53"


@both_families
def test_ip1_the_edges_of_the_pool(at: Addresses) -> None:
    for address, outcome in (
        (at.first_dynamic, DROP),
        (at.last_dynamic, DROP),
        (at.before_dynamic, ACCEPT),
        (at.after_dynamic, ACCEPT),
        (at.static_inside, ACCEPT),
        (at.dynamic_inside, DROP),
    ):
        assert judge([make(Ip53b)], down(at.outside, address, UDP, 40000, 53)).outcome is outcome, address


@both_families
@pytest.mark.parametrize("solicited", [True, False])
def test_ip2_source_port_53_by_itself_is_no_reason_to_drop(at: Addresses, solicited: bool) -> None:
    policy = make(Ip53b, unsolicited_only=solicited)
    for flow in (FlowState(), REPLY, INVALID, UNTRACKED):
        assert judge([policy], down(at.outside, at.dynamic, UDP, 53, 40000), flow).outcome is ACCEPT


@both_families
def test_ip3_the_answer_to_a_query_sent_from_port_53_passes(at: Addresses) -> None:
    decision = judge([make(Ip53b)], down(at.outside, at.dynamic, UDP, 53, 53), REPLY)
    assert decision.outcome is ACCEPT
    assert decision.exempted_by is not None
    assert decision.exempted_by.name == "ip53b_down.answer"


@both_families
@pytest.mark.parametrize(
    ("sport", "flow"),
    [
        pytest.param(40000, REPLY, id="a reply from another port than 53"),
        pytest.param(53, FlowState(), id="new"),
        pytest.param(53, FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.ORIGINAL), id="a flow from outside"),
        pytest.param(53, INVALID, id="invalid"),
        pytest.param(53, UNTRACKED, id="untracked"),
    ],
)
def test_ip3_nothing_else_passes_for_its_conntrack_state(at: Addresses, sport: int, flow: FlowState) -> None:
    assert judge([make(Ip53b)], down(at.outside, at.dynamic, UDP, sport, 53), flow).outcome is DROP


@both_families
def test_ip3_unsolicited_only_false_is_stateless(at: Addresses) -> None:
    assert judge([make(Ip53b, unsolicited_only=False)], down(at.outside, at.dynamic, UDP, 53, 53), REPLY).outcome is DROP


@both_families
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_ip4_outbound_queries_are_untouched(at: Addresses, protocol: int) -> None:
    policy = make(Ip53b, scope="all", pools=["dynamic", "static"])
    assert judge([policy], up(at.dynamic, at.outside, protocol, dport=53)).outcome is ACCEPT


@both_families
def test_ip5_tcp_53_never_matches(at: Addresses) -> None:
    policy = make(Ip53b, scope="all", unsolicited_only=False)
    for flow in (FlowState(), REPLY, INVALID):
        assert judge([policy], down(at.outside, at.dynamic, TCP, 53, 53), flow).outcome is ACCEPT


def test_ip6_no_rule_of_the_policy_answers_anybody() -> None:
    assert not [rule for rule in table_of([make(Ip53b, scope="all")]).rules() if isinstance(rule.then, ResetTcp)]


@both_families
def test_ip7_exempt_sources_reach_everyone(at: Addresses) -> None:
    policy = make(Ip53b, exempt={"sources": ["192.0.2.25", "2001:db8:a::25"]})
    assert judge([policy], down(at.server, at.dynamic, UDP, 40000, 53)).outcome is ACCEPT
    for neighbour in (at.server - 1, at.server + 1):
        assert judge([policy], down(neighbour, at.dynamic, UDP, 40000, 53)).outcome is DROP


@both_families
def test_ip7_exempt_subscribers_are_reached_by_everyone_until_their_end(at: Addresses) -> None:
    exempt = {"prefix": str(at.dynamic), "until": NOW + 60, "owner": "noc", "reason": "runs a name server"}
    policy = make(Ip53b, exempt={"subscribers": [exempt]})
    packet = down(at.outside, at.dynamic, UDP, 40000, 53)
    assert judge([policy], packet, now=NOW + 59).outcome is ACCEPT
    assert judge([policy], packet, now=NOW + 60).outcome is DROP
    assert judge([policy], down(at.outside, at.dynamic + 1, UDP, 40000, 53)).outcome is DROP


@both_families
def test_ip7_scope_decides_on_queries_between_subscribers(at: Addresses) -> None:
    query = between(down(at.static, at.dynamic, UDP, 40000, 53))
    assert judge([make(Ip53b)], query).outcome is ACCEPT
    assert judge([make(Ip53b, scope="all")], query).outcome is DROP


@both_families
def test_ip8_pools_say_who_is_covered(at: Addresses) -> None:
    query = down(at.outside, at.static, UDP, 40000, 53)
    assert judge([make(Ip53b, pools=["dynamic"])], query).outcome is ACCEPT
    assert judge([make(Ip53b, pools=["dynamic", "static"])], query).outcome is DROP


def test_ip9_what_is_dynamic_in_ipv6_is_declared_and_not_derived_from_ipv4() -> None:
    only_ipv4 = {name: tuple(prefix for prefix in pool if prefix.version == 4) for name, pool in SITE.pools.items()}
    site = type(SITE)(SITE.access, SITE.upstream, only_ipv4)
    assert judge([make(Ip53b)], down(IPV4.outside, IPV4.dynamic, UDP, 40000, 53), site=site).outcome is DROP
    assert judge([make(Ip53b)], down(IPV6.outside, IPV6.dynamic, UDP, 40000, 53), site=site).outcome is ACCEPT
    assert {each.family for each in table_of([make(Ip53b)], site).sets} == {Family.IPV4}


@both_families
def test_ip53b_and_op25b_leave_each_others_ports_alone(at: Addresses) -> None:
    policies = [make(Ip53b), make(Op25b), make(Spoof)]
    assert judge(policies, down(at.outside, at.dynamic, UDP, 25, 25)).outcome is ACCEPT
    assert judge(policies, up(at.dynamic, at.outside, TCP, 53, 53)).outcome is ACCEPT


def test_prefixes_of_the_other_family_make_no_set() -> None:
    policy = make(Ip53b, exempt={"sources": prefixes("192.0.2.53/32")})
    assert "ip53b_sources6" not in table_of([policy]).sets_by_name
