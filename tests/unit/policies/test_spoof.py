"""Source address validation by its statements (AS-1 to AS-5), judged by the simulator in both families."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.addresses import Address
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.evaluate import Outcome
from tests.gateway import (
    BOTH,
    ESP,
    ICMP,
    IPV4,
    IPV6,
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

ACCEPT, DROP = Outcome.ACCEPT, Outcome.DROP

both_families = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)


@both_families
@pytest.mark.parametrize("protocol", [TCP, UDP, ICMP, ESP])
def test_as1_a_source_in_no_pool_is_dropped_whatever_the_protocol(at: Addresses, protocol: int) -> None:
    ports = {"sport": 1, "dport": 80} if protocol in (TCP, UDP) else {"sport": None, "dport": None}
    for source in (at.before_dynamic, at.after_dynamic, at.outside):
        decision = judge([make(Spoof)], up(source, at.outside + 1, protocol, **ports))
        assert decision.outcome is DROP
        assert decision.rule is not None
        assert decision.rule.count is not None
        assert decision.rule.count.name == f"spoof_up_{at.family.value}_drop"


@both_families
def test_as1_holds_between_subscribers_too(at: Addresses) -> None:
    assert judge([make(Spoof)], between(up(at.outside, at.dynamic, dport=80))).outcome is DROP


@both_families
def test_as2_source_validation_decides_before_every_other_policy(at: Addresses) -> None:
    everything = [make(Ip53b, scope="all"), make(Op25b, scope="all"), make(Spoof)]
    for packet in (up(at.outside, at.outside + 1), up(at.outside, at.dynamic, UDP, 40000, 53)):
        decision = judge(everything, packet)
        assert decision.outcome is DROP
        assert decision.rule is not None
        assert decision.rule.policy == "spoof"


@both_families
def test_as3_every_address_of_every_pool_may_be_a_source(at: Addresses) -> None:
    for source in (at.first_dynamic, at.last_dynamic, at.static, at.static_inside, at.dynamic_inside):
        assert judge([make(Spoof)], up(source, at.outside, dport=80)).outcome is ACCEPT, source


@both_families
def test_as4_an_inside_source_from_outside_is_dropped(at: Addresses) -> None:
    for source in (at.first_dynamic, at.last_dynamic, at.static, at.static_inside):
        decision = judge([make(Spoof)], down(source, at.dynamic, sport=80))
        assert decision.outcome is DROP, source
        assert decision.rule is not None
        assert decision.rule.count is not None
        assert decision.rule.count.name == f"spoof_down_{at.family.value}_drop"
    for source in (at.before_dynamic, at.after_dynamic, at.outside):
        assert judge([make(Spoof)], down(source, at.dynamic, sport=80)).outcome is ACCEPT, source


@both_families
def test_as4_a_multihomed_prefix_may_come_in_from_upstream(at: Addresses) -> None:
    policy = make(Spoof, multihomed=prefixes("198.51.100.9/32", "2001:db8:5::9/128"))
    assert judge([policy], down(at.static, at.dynamic, sport=80)).outcome is ACCEPT
    assert judge([policy], down(at.static + 1, at.dynamic, sport=80)).outcome is DROP
    assert judge([policy], up(at.static, at.outside, dport=80)).outcome is ACCEPT


@both_families
def test_as4_a_wholly_multihomed_gateway_keeps_its_access_side_check(at: Addresses) -> None:
    policy = make(Spoof, multihomed=[prefix for pool in SITE.pools.values() for prefix in pool])
    assert judge([policy], down(at.dynamic, at.static, sport=80)).outcome is ACCEPT
    assert judge([policy], up(at.outside, at.outside, dport=80)).outcome is DROP


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (ip_address("0.0.0.0"), IPV4.outside),
        (ip_address("169.254.0.0"), IPV4.outside),
        (ip_address("169.254.255.255"), IPV4.outside),
        (ip_address("::"), IPV6.outside),
        (ip_address("fe80::"), IPV6.outside),
        (ip_address("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), IPV6.outside),
    ],
    ids=str,
)
def test_as5_what_hosts_send_before_they_have_an_address_passes(source: Address, destination: Address) -> None:
    decision = judge([make(Spoof)], up(source, destination, UDP, 68, 67))
    assert decision.outcome is ACCEPT
    assert not decision.counted


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (ip_address("0.0.0.1"), IPV4.outside),
        (ip_address("169.255.0.0"), IPV4.outside),
        (ip_address("::1"), IPV6.outside),
        (ip_address("fec0::"), IPV6.outside),
    ],
    ids=str,
)
def test_as5_ends_where_those_addresses_end(source: Address, destination: Address) -> None:
    assert judge([make(Spoof)], up(source, destination, UDP, 68, 67)).outcome is DROP


def test_a_family_without_pools_is_checked_too() -> None:
    only_ipv4 = {name: tuple(prefix for prefix in pool if prefix.version == 4) for name, pool in SITE.pools.items()}
    site = replace(SITE, pools=only_ipv4)
    assert judge([make(Spoof)], up(IPV6.dynamic, IPV6.outside, dport=80), site=site).outcome is DROP


def test_it_adds_one_rule_a_family_and_direction() -> None:
    names = [rule.name for rule in table_of([make(Spoof)]).rules() if rule.policy == "spoof"]
    assert names == ["spoof_up.ip", "spoof_up.ip6", "spoof_down.ip", "spoof_down.ip6"]
