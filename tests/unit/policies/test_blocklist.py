"""Blocklists by their statements (BL-1 to BL-4, BL-10), judged by the simulator in both families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from edged.addresses import Address, Family, Prefix
from edged.config.problem import Finding, Severity
from edged.marks import MarkFields
from edged.packed import Entries
from edged.packet.packet import FlowState, Packet
from edged.policies import Blocklist, Ip53b, Op25b, Policy, Site, Spoof
from edged.ruleset.diff import diff
from edged.ruleset.evaluate import Decision, Outcome, evaluate
from edged.ruleset.nodes import ConntrackDirection, ConntrackState, Drop, Goto, Prohibit, RateAbove, ResetTcp, SetGeneration
from edged.ruleset.observed import Observed
from edged.ruleset.plan import Desired, describe
from edged.ruleset.render import render
from edged.ruleset.sets import AddressSet, PrefixSet
from tests.gateway import (
    BOTH,
    ESP,
    GUARDED_SITE,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    NOW,
    SITE,
    TCP,
    UDP,
    Addresses,
    KeyAsOrigin,
    between,
    down,
    entries,
    judge,
    make,
    table_of,
    up,
)

ACCEPT, DROP, REJECT = Outcome.ACCEPT, Outcome.DROP, Outcome.REJECT
NEW, ESTABLISHED, RELATED = ConntrackState.NEW, ConntrackState.ESTABLISHED, ConntrackState.RELATED
ORIGINAL, REPLY = ConntrackDirection.ORIGINAL, ConntrackDirection.REPLY
FOREIGN = 0xA507_005A  # bits of a mark beside the generation's
JUDGED = FOREIGN | 0x0100  # by the first generation, which compiled tables have
WITHOUT_CONNECTION = (FlowState(ConntrackState.INVALID, None), FlowState(ConntrackState.UNTRACKED, None))
EVERY_STATE = (
    *(FlowState(state, direction) for state in (NEW, ESTABLISHED, RELATED) for direction in ConntrackDirection),
    *WITHOUT_CONNECTION,
)

both_families = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)


def listing(*texts: object, **others: Mapping[Family, Entries]) -> Site:
    """The site with a list `bad` of these prefixes, and others by name."""
    return replace(SITE, lists={"bad": entries(*map(str, texts)), **others})


def named(*names: str, **settings: object) -> dict[str, object]:
    return {"lists": [{"name": name, "path": f"{name}.txt", **settings} for name in names]}


def is_blocked(site: Site, far: Address, near: Address, *policies: Policy) -> bool:
    """Whether the address is blocked, which is the same as either end and both ways."""
    table = table_of(policies or (make(Blocklist),), site)
    found = {evaluate(table, packet, FlowState(), NOW).outcome for packet in traffic_with(far, near)}
    assert len(found) == 1, f"{far}: {found}"
    return found == {DROP}


# --- BL-1 ---


@both_families
@pytest.mark.parametrize("protocol", [TCP, UDP, ICMP, ICMPV6, ESP, 47, 132, 255])
@pytest.mark.parametrize("flow", EVERY_STATE, ids=lambda flow: f"{flow.state.value}-{flow.direction and flow.direction.value}")
def test_bl1_a_listed_address_is_stopped_at_either_end_both_ways_in_every_state(
    at: Addresses, protocol: int, flow: FlowState
) -> None:
    ports = (443, 443) if protocol in (TCP, UDP) else (None, None)
    for packet, way in (
        (up(at.dynamic, at.outside, protocol, *ports), "up"),
        (up(at.outside, at.dynamic, protocol, *ports), "up"),
        (down(at.outside, at.dynamic, protocol, *ports), "down"),
        (down(at.dynamic, at.outside, protocol, *ports), "down"),
    ):
        decision = judge([make(Blocklist)], packet, flow)
        assert decision.outcome is DROP
        assert counter_of(decision) == f"blocklist_{way}_{at.family.value}_drop"


@both_families
def test_bl1_what_is_not_listed_passes(at: Addresses) -> None:
    for far in (at.outside - 1, at.outside + 1, at.server):
        assert not is_blocked(SITE, far, at.dynamic)


@both_families
def test_bl1_holds_between_subscribers_and_is_counted_as_upstream(at: Addresses) -> None:
    site = listing(at.static)
    for packet in (up(at.dynamic, at.static, dport=443), up(at.static, at.dynamic, dport=443)):
        decision = judge([make(Blocklist)], between(packet), site=site)
        assert decision.outcome is DROP
        assert counter_of(decision) == f"blocklist_up_{at.family.value}_drop"


# --- BL-2 ---


@both_families
@pytest.mark.parametrize("state", [NEW, ESTABLISHED])
@pytest.mark.parametrize("direction", ConntrackDirection)
def test_bl2_a_connection_that_was_judged_is_not_looked_up_again(
    at: Addresses, state: ConntrackState, direction: ConntrackDirection
) -> None:
    flow = FlowState(state, direction, JUDGED)
    for packet in (up(at.dynamic, at.outside, dport=443), down(at.outside, at.dynamic, sport=443)):
        decision = judge([make(Blocklist)], packet, flow)
        assert (decision.outcome, decision.mark) == (ACCEPT, JUDGED)
        assert decision.exempted_by is not None
        assert decision.exempted_by.name == f"blocklist_{'up' if packet.came_in == 'lan0' else 'down'}.judged"


@both_families
@pytest.mark.parametrize("mark", [0, FOREIGN, 0x0200, 0x0300, 0xFF00, 0xFFFFFEFF, 0x0001, 0x0001_0000])
def test_bl2_another_generation_counts_for_nothing(at: Addresses, mark: int) -> None:
    for packet in (up(at.dynamic, at.outside, dport=443), down(at.outside, at.dynamic, sport=443)):
        decision = judge([make(Blocklist)], packet, FlowState(ESTABLISHED, ORIGINAL, mark))
        assert (decision.outcome, decision.mark) == (DROP, mark)


@both_families
@pytest.mark.parametrize("flow", [FlowState(RELATED, way, JUDGED) for way in ConntrackDirection] + list(WITHOUT_CONNECTION))
def test_bl2_only_a_connections_own_packets_take_its_verdict(at: Addresses, flow: FlowState) -> None:
    """An ICMP error carries the mark of a connection whose addresses it need not have."""
    for packet in (up(at.dynamic, at.outside, ICMP, None, None), down(at.outside, at.dynamic, ICMP, None, None)):
        assert judge([make(Blocklist)], packet, flow).outcome is DROP


@both_families
@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("action", ["drop", "reject"])
@pytest.mark.parametrize("mark", [0, FOREIGN, FOREIGN | 0xFF00])
def test_bl2_what_passed_is_marked_and_all_other_bits_are_kept(at: Addresses, mode: str, action: str, mark: int) -> None:
    policy = make(Blocklist, mode=mode, action=action)
    for state, direction in ((NEW, ORIGINAL), (ESTABLISHED, ORIGINAL), (ESTABLISHED, REPLY)):
        for packet in (up(at.dynamic, at.server, dport=443), down(at.server, at.dynamic, sport=443)):
            decision = judge([policy], packet, FlowState(state, direction, mark))
            assert (decision.outcome, decision.mark) == (ACCEPT, mark & ~0xFF00 | 0x0100)


@both_families
def test_bl2_a_related_packet_never_marks(at: Addresses) -> None:
    for packet in (up(at.dynamic, at.server, ICMP, None, None), down(at.server, at.dynamic, ICMP, None, None)):
        decision = judge([make(Blocklist)], packet, FlowState(RELATED, REPLY, FOREIGN))
        assert (decision.outcome, decision.mark) == (ACCEPT, FOREIGN)


@both_families
@pytest.mark.parametrize("flow", WITHOUT_CONNECTION, ids=lambda flow: flow.state.value)
def test_bl2_without_a_connection_nothing_is_marked(at: Addresses, flow: FlowState) -> None:
    assert judge([make(Blocklist)], up(at.dynamic, at.server, dport=443), flow).mark == 0


@both_families
@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("action", ["drop", "reject"])
def test_bl2_what_is_listed_is_never_marked(at: Addresses, mode: str, action: str) -> None:
    policy = make(Blocklist, mode=mode, action=action)
    for packet in traffic_with(at.outside, at.dynamic):
        for state, direction in ((NEW, ORIGINAL), (ESTABLISHED, ORIGINAL), (ESTABLISHED, REPLY)):
            decision = judge([policy], packet, FlowState(state, direction, FOREIGN))
            assert decision.mark == FOREIGN
            assert (decision.outcome is ACCEPT) is (mode == "observe")
            assert len(decision.counted) == 1


@both_families
def test_bl2_what_never_block_lets_by_is_neither_looked_up_nor_marked(at: Addresses) -> None:
    for packet in (up(at.dynamic, at.guarded, dport=443), down(at.guarded, at.dynamic, sport=443)):
        decision = judge([make(Blocklist)], packet, site=GUARDED_SITE)
        assert (decision.outcome, decision.mark) == (ACCEPT, 0)


@both_families
@pytest.mark.parametrize("mask", [0x0000_0FFF, 0xFFF0_0000])
def test_bl2_the_generation_is_in_the_bits_that_are_edgeds(at: Addresses, mask: int) -> None:
    fields = MarkFields(mask)
    site, kept = replace(SITE, marks=fields), 0xFFFF_FFFF & ~fields.generation
    marked = judge([make(Blocklist)], up(at.dynamic, at.server), FlowState(ESTABLISHED, REPLY, 0xFFFF_FFFF), site=site).mark
    assert marked == kept | (mask & -mask)
    assert (
        judge([make(Blocklist)], up(at.dynamic, at.outside), FlowState(ESTABLISHED, REPLY, marked), site=site).outcome is ACCEPT
    )
    assert judge([make(Blocklist)], up(at.dynamic, at.outside), FlowState(ESTABLISHED, REPLY, kept), site=site).outcome is DROP


def judged_by(site: Site, **settings: object) -> set[str]:
    rules = table_of([make(Blocklist, **settings)], site).rules()
    return {rule.then.judged for rule in rules if isinstance(rule.then, SetGeneration)}


def test_bl2_any_other_content_is_judged_anew_and_the_same_content_is_not() -> None:
    before = judged_by(listing("10.0.0.0/8", "2001:db8::/32"))
    assert len(before) == 1
    for same in (
        listing("2001:db8::/32", "10.0.0.0/8", "10.0.0.0/8"),
        listing("10.0.0.0/9", "10.0.0.0/8", "2001:db8:5::/48", "2001:db8::/32"),
    ):
        assert judged_by(same) == before
    for other in (
        listing("10.0.0.0/8"),
        listing("2001:db8::/32"),
        listing("10.0.0.0/8", "2001:db8::/33"),
        listing("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"),
        listing("10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"),
    ):
        assert judged_by(other) != before
    assert judged_by(listing("10.0.0.0/8", "2001:db8::/32"), allow=["10.1.0.0/16"]) != before
    assert judged_by(listing("10.0.0.0/8", "2001:db8::/32"), allow=["192.0.2.0/24"]) == before


# --- BL-3 ---

FILLERS = {
    Family.IPV4: [f"10.{length}.0.0/{length}" for length in range(20, 28)],
    Family.IPV6: [f"100:{length}::/{length}" for length in range(48, 56)],
}


def at_length(family: Family, length: int) -> Prefix:
    """A prefix of that length whose bits are set in turn."""
    pattern = int.from_bytes(b"\xa5" * (family.bits // 8), "big")
    return ip_network((family.address(pattern), length), strict=False)


def inside_and_beside(prefix: Prefix) -> Iterator[tuple[Address, bool]]:
    first, last = prefix[0], prefix[-1]
    yield from ((first, True), (prefix[prefix.num_addresses // 2], True), (last, True))
    limit = 1 << prefix.max_prefixlen
    yield from ((type(first)(value), False) for value in (int(first) - 1, int(last) + 1) if 0 <= value < limit)


@both_families
@pytest.mark.parametrize("kind", [PrefixSet, AddressSet], ids=["hashed", "ranges"])
def test_bl3_a_prefix_of_any_length_holds_its_own_addresses_and_no_neighbour(
    at: Addresses, kind: type[PrefixSet | AddressSet]
) -> None:
    for length in range(1, at.family.bits + 1):
        prefix = at_length(at.family, length)
        site = listing(prefix, *(FILLERS[at.family] if kind is AddressSet else ()))
        table = table_of([make(Blocklist)], site)
        assert {type(each) for each in table.sets} == {kind}
        for address, listed in inside_and_beside(prefix):
            for packet in traffic_with(address, at.dynamic if at.dynamic not in prefix else at.family.address(1)):
                assert (evaluate(table, packet, FlowState(), NOW).outcome is DROP) is listed, (prefix, address)


@pytest.mark.parametrize(
    ("text", "inside", "beside"),
    [
        ("0.0.0.0/1", ["0.0.0.0", "127.255.255.255"], ["128.0.0.0"]),
        ("0.0.0.0/32", ["0.0.0.0"], ["0.0.0.1"]),
        ("255.255.255.255/32", ["255.255.255.255"], ["255.255.255.254"]),
        ("::/128", ["::"], ["::1"]),
        ("8000::/1", ["8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("2001:db8:0:100::/56", ["2001:db8:0:100::", "2001:db8:0:1ff:ffff:ffff:ffff:ffff"], ["2001:db8:0:200::"]),
    ],
)
def test_bl3_at_the_ends_of_the_address_space(text: str, inside: list[str], beside: list[str]) -> None:
    near = ip_address("128.0.0.9" if ":" not in text else "2::9")
    for address in inside:
        assert is_blocked(listing(text), ip_address(address), near)
    for address in beside:
        assert not is_blocked(listing(text), ip_address(address), near)


@both_families
def test_bl3_neighbours_in_a_list_stay_apart_so_that_each_goes_alone(at: Addresses) -> None:
    pair = {Family.IPV4: ("172.16.0.0/16", "172.17.0.0/16"), Family.IPV6: ("2a00::/16", "2a01::/16")}[at.family]
    tables = [table_of([make(Blocklist)], listing(*some, *FILLERS[at.family])) for some in (pair, pair[:1])]
    (both,), (one,) = (table.sets for table in tables)
    assert isinstance(both, AddressSet)
    assert isinstance(one, AddressSet)
    assert len(set(both.elements) - set(one.elements)) == 1
    assert set(one.elements) < set(both.elements)


# --- BL-4 ---


@both_families
def test_bl4_an_address_is_blocked_while_any_list_has_it(at: Addresses) -> None:
    policy = make(Blocklist, **named("bad", "worse"))
    both, one = entries(str(at.outside), str(at.server)), entries(str(at.outside))
    for lists, server in (
        ({"bad": both, "worse": one}, True),
        ({"bad": one, "worse": both}, True),
        ({"bad": one, "worse": one}, False),
        ({"worse": one}, False),
    ):
        site = replace(SITE, lists=lists)
        assert is_blocked(site, at.outside, at.dynamic, policy)
        assert is_blocked(site, at.server, at.dynamic, policy) is server


@both_families
def test_bl4_a_list_that_the_policy_does_not_name_blocks_nothing(at: Addresses) -> None:
    site = replace(SITE, lists={"bad": entries(str(at.outside)), "other": entries(str(at.server))})
    assert not is_blocked(site, at.server, at.dynamic)


@both_families
def test_bl4_an_entry_that_another_covers_changes_nothing_when_it_goes(at: Addresses) -> None:
    around = ip_network((at.outside, 24 if at.family is Family.IPV4 else 64), strict=False)
    tables = [table_of([make(Blocklist)], listing(*some)) for some in ((around, at.outside), (around,), (at.outside, around))]
    assert tables[0] == tables[1] == tables[2]
    assert is_blocked(listing(around), at.outside, at.dynamic)


@both_families
def test_bl4_allow_inside_a_listed_prefix_opens_that_and_no_more(at: Addresses) -> None:
    around = ip_network((at.outside, 24 if at.family is Family.IPV4 else 64), strict=False)
    policy = make(Blocklist, allow=[str(at.outside)])
    for far, blocked in (
        (at.outside, False),
        (at.outside - 1, True),
        (at.outside + 1, True),
        (around[0], True),
        (around[-1], True),
        (around[-1] + 1, False),
    ):
        assert is_blocked(listing(around), far, at.dynamic, policy) is blocked, far


@both_families
def test_bl4_allow_around_what_is_listed_opens_all_of_it(at: Addresses) -> None:
    around = ip_network((at.outside, 24 if at.family is Family.IPV4 else 64), strict=False)
    policy = make(Blocklist, allow=[str(around)])
    site = listing(at.outside, at.outside + 1, around[-1] + 1)
    for far, blocked in ((at.outside, False), (at.outside + 1, False), (around[-1] + 1, True)):
        assert is_blocked(site, far, at.dynamic, policy) is blocked


@both_families
def test_bl4_what_is_allowed_is_opened_in_every_list(at: Addresses) -> None:
    policy = make(Blocklist, **named("bad", "worse"), allow=[str(at.outside)])
    assert not is_blocked(listing(at.outside, worse=entries(str(at.outside))), at.outside, at.dynamic, policy)


@both_families
def test_lists_that_hold_nothing_or_never_came_make_no_rule(at: Addresses) -> None:
    for site in (replace(SITE, lists={}), listing(), listing("192.0.2.7")):
        allowed = make(Blocklist, allow=["192.0.2.0/24"])
        assert not allowed.declare(site, KeyAsOrigin("blocklist"), NOW).rules
        assert judge([allowed], up(at.dynamic, at.outside), site=site).outcome is ACCEPT


@both_families
def test_a_list_of_one_family_leaves_the_other_alone(at: Addresses) -> None:
    other = IPV6 if at is IPV4 else IPV4
    site = listing(other.outside)
    assert not is_blocked(site, at.outside, at.dynamic)
    assert judge([make(Blocklist)], up(at.dynamic, at.outside), site=site).mark == 0x0100, "judged, and by no list"
    assert is_blocked(site, other.outside, other.dynamic)


# --- what the subscriber gets to hear ---


@both_families
@pytest.mark.parametrize(("protocol", "answer"), [(TCP, ResetTcp), (UDP, Prohibit), (ICMP, Prohibit), (ESP, Prohibit)])
def test_reject_answers_the_subscriber(at: Addresses, protocol: int, answer: type[ResetTcp | Prohibit]) -> None:
    policy = make(Blocklist, action="reject")
    for packet in (up(at.dynamic, at.outside, protocol, 443, 443), up(at.outside, at.dynamic, protocol, 443, 443)):
        for each in (packet, between(packet)):
            decision = judge([policy], each)
            assert decision.outcome is REJECT
            assert decision.rule is not None
            assert isinstance(decision.rule.then, answer)
            assert counter_of(decision) == f"blocklist_up_{at.family.value}_reject"


@both_families
@pytest.mark.parametrize("protocol", [TCP, UDP, ICMP])
@pytest.mark.parametrize("action", ["drop", "reject"])
def test_the_internet_side_never_hears_anything(at: Addresses, protocol: int, action: str) -> None:
    policy = make(Blocklist, action=action)
    for packet in (down(at.outside, at.dynamic, protocol, 443, 443), down(at.dynamic, at.outside, protocol, 443, 443)):
        decision = judge([policy], packet)
        assert decision.outcome is DROP
        assert counter_of(decision) == f"blocklist_down_{at.family.value}_drop"


def test_no_chain_of_the_internet_side_leads_to_an_answer() -> None:
    table = table_of([make(Blocklist, action="reject")])
    answering = {chain.name for chain in table.chains for rule in chain.rules if isinstance(rule.then, ResetTcp | Prohibit)}
    assert answering == {"blocklist_up_listed"}
    leading = {
        chain.name for chain in table.chains for rule in chain.rules if getattr(rule.then, "chain", None) == "blocklist_up_listed"
    }
    assert leading == {"blocklist_up"}


def test_answers_are_limited_and_beyond_that_it_drops() -> None:
    table = table_of([make(Blocklist, action="reject")])
    limit, *answers = table.chains_by_name["blocklist_up_listed"].rules
    assert limit.when == (RateAbove(1000, 1000),)
    assert limit.then == Goto("blocklist_discard")
    assert {type(rule.then) for rule in answers} == {ResetTcp, Prohibit}
    discarding = table.chains_by_name["blocklist_discard"].rules
    assert [rule.then for rule in discarding] == [Drop()] * 2
    assert [rule.count and rule.count.name for rule in discarding] == ["blocklist_up_ip_drop", "blocklist_up_ip6_drop"]


# --- order ---


@both_families
def test_g1_a_never_block_far_end_wins_over_every_list(at: Addresses) -> None:
    for packet in (up(at.dynamic, at.guarded, dport=443), down(at.guarded, at.dynamic, sport=443)):
        assert judge([make(Blocklist)], packet).outcome is DROP
        decision = judge([make(Blocklist)], packet, site=GUARDED_SITE)
        assert decision.outcome is ACCEPT
        assert decision.exempted_by is not None
        assert decision.exempted_by.origin == GUARDED_SITE.never_block_origin


@both_families
def test_g1_a_listed_source_reaches_a_never_block_far_end_and_nothing_else_does(at: Addresses) -> None:
    site = replace(GUARDED_SITE, lists={"bad": entries(str(at.dynamic))})
    assert judge([make(Blocklist)], up(at.dynamic, at.guarded), site=site).outcome is ACCEPT
    assert judge([make(Blocklist)], up(at.dynamic, at.outside), site=site).outcome is DROP
    assert judge([make(Blocklist)], down(at.outside, at.guarded), site=GUARDED_SITE).outcome is DROP, "near, not far"


@both_families
@pytest.mark.parametrize("mark", [0, JUDGED])
def test_g1_a_forged_source_is_stopped_before_lists_and_marks_are_looked_at(at: Addresses, mark: int) -> None:
    everything = [make(kind) for kind in (Blocklist, Spoof)]
    flow = FlowState(ESTABLISHED, ORIGINAL, mark)
    for packet in (up(at.before_dynamic, at.outside), up(at.outside, at.server), down(at.dynamic, at.static)):
        decision = judge(everything, packet, flow)
        assert (policy_of(decision), decision.mark) == ("spoof", mark)


@both_families
def test_g1_lists_come_before_the_port_policies(at: Addresses) -> None:
    everything = [make(Op25b), make(Ip53b), make(Blocklist)]
    for packet in (up(at.dynamic, at.outside), down(at.outside, at.dynamic), down(at.outside, at.dynamic, UDP, 40000, 53)):
        assert policy_of(judge(everything, packet)) == "blocklist"


@both_families
@pytest.mark.parametrize("flow", [FlowState(NEW, ORIGINAL), FlowState(ESTABLISHED, ORIGINAL, JUDGED)], ids=["new", "judged"])
def test_g1_what_lists_let_by_still_meets_the_port_policies(at: Addresses, flow: FlowState) -> None:
    everything = [make(Op25b), make(Ip53b), make(Blocklist)]
    for packet, policy in (
        (up(at.dynamic, at.server), "op25b"),
        (down(at.server, at.dynamic), "op25b"),
        (down(at.server, at.dynamic, UDP, 40000, 53), "ip53b"),
    ):
        decision = judge(everything, packet, flow)
        assert (policy_of(decision), decision.mark & 0xFF00) == (policy, 0x0100)


@both_families
def test_g1_allow_never_opens_port_25(at: Addresses) -> None:
    policies = [make(Op25b), make(Blocklist, allow=[str(at.outside)])]
    for packet in (up(at.dynamic, at.outside), down(at.outside, at.dynamic)):
        assert policy_of(judge(policies, packet)) == "op25b"
    assert judge(policies, up(at.dynamic, at.outside, dport=443)).outcome is ACCEPT


# --- BL-10 ---


@pytest.mark.parametrize("layout", ["hashed", "ranges"])
def test_bl10_one_confidential_list_hides_every_set(layout: str) -> None:
    fillers = [*FILLERS[Family.IPV4], *FILLERS[Family.IPV6]] if layout == "ranges" else []
    worse = entries("203.0.114.7", "2a02::7")
    site = listing(IPV4.outside, IPV6.outside, *fillers, worse=worse)
    bad, worse_file = {"name": "bad", "path": "bad.txt"}, {"name": "worse", "path": "worse.txt"}
    hidden, shown = (
        table_of([make(Blocklist, lists=[bad, {**worse_file, "confidential": confidential}])], site)
        for confidential in (True, False)
    )
    addresses = ("192.0.2.200", "2001:db8:ffff::1", "203.0.114.7", "2a02::7")
    assert all(isinstance(each, AddressSet | PrefixSet) and each.hidden for each in hidden.sets)
    assert all(isinstance(each, AddressSet | PrefixSet) and not each.hidden for each in shown.sets)
    assert [each.name for each in hidden.sets] == [each.name for each in shown.sets]
    text = render(hidden, NOW)
    assert not [address for address in addresses if address in text]
    assert text.count("elements, not shown: some are of a confidential list") == len(hidden.sets)
    assert all(address in render(shown, NOW) for address in addresses)
    said = "\n".join(describe(step) for step in diff(Desired(hidden), Observed(1, None)).steps)
    assert not [address for address in addresses if address in said]


# --- settings ---

PLAIN = {"name": "bad", "path": "bad.txt"}
WEB = {"name": "bad", "url": "https://lists.example.net/bad.txt"}
CSV = {**PLAIN, "format": "csv"}


def findings(**settings: object) -> list[Finding]:
    return list(make(Blocklist, **settings).review(SITE, NOW))


@pytest.mark.parametrize(
    "one",
    [
        PLAIN,
        WEB,
        {**WEB, "refresh": "6h", "ca": "ca.pem"},
        {**CSV, "columns": {"address": "ip"}},
        {**CSV, "columns": {"address": 1, "length": 2, "header": False}},
        {**CSV, "columns": {"address": 1, "length": "bits"}},
        {**PLAIN, "format": "spamhaus-drop", "confidential": True},
    ],
)
def test_nothing_is_said_of_good_settings(one: dict[str, object]) -> None:
    assert findings(lists=[one]) == []


@pytest.mark.parametrize(
    ("one", "path", "message"),
    [
        ({"name": "bad"}, "name", "expected either `path` or `url`, got neither"),
        ({**PLAIN, **WEB}, "url", "expected either `path` or `url`, got both"),
        ({**PLAIN, "refresh": "6h"}, "refresh", "'refresh' is for a list with a `url`"),
        ({**PLAIN, "ca": "ca.pem"}, "ca", "'ca' is for a list with a `url`"),
        (CSV, "format", "a csv list needs `columns`: which column holds the address"),
        ({**PLAIN, "columns": {"address": 1}}, "columns", "'columns' is for a csv list; this one is plain"),
        (
            {**PLAIN, "columns": {"address": 1}, "format": "spamhaus-drop"},
            "columns",
            "'columns' is for a csv list; this one is spamhaus-drop",
        ),
        (
            {**CSV, "columns": {"address": "ip", "header": False}},
            "columns.address",
            "without a header no column is named 'ip'; give its number from 1",
        ),
        (
            {**CSV, "columns": {"address": 1, "length": "bits", "header": False}},
            "columns.length",
            "without a header no column is named 'bits'; give its number from 1",
        ),
    ],
)
def test_one_list_that_does_not_fit_together(one: dict[str, object], path: str, message: str) -> None:
    (found,) = findings(lists=[{"name": "good", "path": "good.txt"}, one])
    assert (found.path, found.message) == (("lists", 1, *path.split(".")), message)
    assert found.severity is (Severity.WARNING if path in ("refresh", "ca") else Severity.ERROR)


def test_two_lists_of_one_name() -> None:
    lists = [{"name": name, "path": f"{place}.txt"} for place, name in enumerate(("bad", "good", "bad", "bad"))]
    assert findings(lists=lists) == [
        Finding(("lists", place, "name"), "list 'bad' is named twice; first", other=("lists", 0, "name")) for place in (2, 3)
    ]


@pytest.mark.parametrize(("allow", "word"), [(["0.0.0.0/0"], "IPv4"), (["::/1", "8000::/1"], "IPv6")])
def test_an_allow_list_of_everybody(allow: list[str], word: str) -> None:
    message = f"covers every {word} address, so the policy would stop nothing; write mode: off for that"
    assert findings(allow=allow) == [Finding(("allow",), message)]
    assert findings(allow=allow[:0]) == []


def traffic_with(far: Address, near: Address) -> Sequence[Packet]:
    """Packets with that address at either end, both ways."""
    return (up(near, far, dport=443), up(far, near, dport=443), down(far, near, sport=443), down(near, far, sport=443))


def policy_of(decision: Decision) -> str | None:
    return decision.rule.policy if decision.rule else None


def counter_of(decision: Decision) -> str | None:
    return decision.rule.count.name if decision.rule and decision.rule.count else None
