"""Whatever another program does to an unowned table is noticed, and put back (semantics G-6)."""

from __future__ import annotations

import pytest

from edged.addresses import Family
from edged.ruleset.diff import diff
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import (
    ConntrackDirection,
    ConntrackState,
    DirectionIs,
    Drop,
    Goto,
    IsFamily,
    Jump,
    PortIs,
    RateAbove,
    ResetTcp,
    Side,
    StateIn,
    Transport,
)
from edged.ruleset.plan import Desired
from edged.ruleset.tree import Chain, Hook, Rule, Table
from tests.contract.machines import LinuxMachine
from tests.contract.tables import DROPPED, NOW, SMALL, prefix, with_chain, with_set
from tests.contract.test_kernel import assert_holds, bring

BLOCK_TEXT = "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop drop"

EDITS_OF_BLOCK = [
    "tcp dport 26 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport != 25 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp sport 25 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "udp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport { 25, 26 } ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25-26 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip saddr != @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip daddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip saddr @free4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip saddr & 255.255.255.0 @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip saddr @pool4 counter name probe_up_ip_observe drop",
    "tcp dport 25 ip saddr @pool4 counter drop",
    "tcp dport 25 ip saddr @pool4 drop",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop accept",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop return",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop reject with tcp reset",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop jump spare",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop jump { drop; }",
    "meta mark 1 tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop drop",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop limit rate 1/second drop",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop meta mark set 1 drop",
    "tcp dport 25 ip saddr @pool4 counter name op25b_up_ip_drop ct mark set 1 drop",
    "ip saddr @pool4 tcp dport 25 counter name op25b_up_ip_drop drop",
]


@pytest.mark.parametrize("body", EDITS_OF_BLOCK)
def test_an_edit_of_a_rule_that_keeps_its_comment(linux: LinuxMachine, body: str) -> None:
    desired = Table(SMALL.counters, SMALL.sets, (*SMALL.chains, Chain("spare")))
    kernel = linux.connect()
    bring(kernel, desired)
    assert linux.rewrite("op25b", 1, body)
    table = kernel.observe().table
    assert table is not None
    written = [fingerprint(rule) for rule in desired.chains_by_name["op25b"].rules]
    assert table.chains["op25b"].fingerprints == (written[0], "", written[2])
    bring(kernel, desired)
    assert_holds(kernel, desired)
    assert linux.handle("op25b", 1)[1].startswith("edged:op25b.block:")


def test_a_rule_rewritten_as_it_was_is_the_same(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    bring(kernel, SMALL)
    assert linux.rewrite("op25b", 1, BLOCK_TEXT)
    assert_holds(kernel, SMALL)


OTHERS = [
    (Rule("r", (StateIn((ConntrackState.NEW, ConntrackState.INVALID)),)), "ct state new"),
    (Rule("r", (StateIn((ConntrackState.NEW, ConntrackState.INVALID)),)), "ct state != { new, invalid }"),
    (Rule("r", (DirectionIs(ConntrackDirection.REPLY),)), "ct direction original"),
    (Rule("r", (IsFamily(Family.IPV6),)), "meta nfproto ipv4"),
    (Rule("r", (RateAbove(10, 5),), Drop()), "limit rate 10/second burst 5 packets drop"),
    (Rule("r", (RateAbove(10, 5),), Drop()), "limit rate over 11/second burst 5 packets drop"),
    (Rule("r", (RateAbove(10, 5),), Drop()), "limit rate over 10/minute burst 5 packets drop"),
    (Rule("r", (RateAbove(10, 5),), Drop()), "limit rate over 10/second burst 6 packets drop"),
    (Rule("r", (RateAbove(10, 5),), Drop()), "limit rate over 10 bytes/second burst 5 bytes drop"),
    (Rule("r", (), ResetTcp()), "reject with icmpx admin-prohibited"),
    (Rule("r", (), ResetTcp()), "meta l4proto tcp drop"),
    (Rule("r", (), Jump("one")), "goto one"),
    (Rule("r", (), Goto("one")), "goto two"),
    (Rule("r", (PortIs(Transport.UDP, Side.SOURCE, 53),)), "udp sport 54"),
]


@pytest.mark.parametrize(("rule", "body"), OTHERS, ids=[body for _, body in OTHERS])
def test_an_edit_of_any_other_kind_of_rule(linux: LinuxMachine, rule: Rule, body: str) -> None:
    table = Table(chains=(Chain("edited", (rule,)), Chain("one"), Chain("two")))
    kernel = linux.connect()
    bring(kernel, table)
    assert_holds(kernel, table)
    assert linux.rewrite("edited", 0, body)
    edited = kernel.observe().table
    assert edited is not None
    assert edited.chains["edited"].fingerprints == ("",)


FORGED = '"edged:op25b.block:0123456789abcdef:01234567"'

INTRUSIONS = [
    "add chain inet edged foreign; add map inet edged m { type ipv4_addr : verdict; elements = { 1.1.1.1 : jump foreign }; }",
    "insert rule inet edged forward accept",
    "add rule inet edged op25b accept",
    f"add rule inet edged op25b accept comment {FORGED}",
    "add rule inet edged forward ip saddr { 10.0.0.1, 10.0.0.2 } accept",
    "add rule inet edged forward jump { ip saddr 10.0.0.1 accept; }",
    "flush chain inet edged op25b",
    "flush table inet edged",
    "delete table inet edged",
    "add chain inet edged foreign; add rule inet edged foreign jump op25b",
    "add chain inet edged foreign { type filter hook forward priority -10; }; add rule inet edged foreign accept",
    "add chain inet edged forward { policy drop; }",
    "add table inet edged { flags dormant; }",
    "add set inet edged foreign { type ipv4_addr; }; add element inet edged foreign { 10.0.0.1 }",
    "add set inet edged foreign { type inet_service; flags interval; }",
    "add map inet edged foreign { type ipv4_addr : verdict; }; add element inet edged foreign { 10.0.0.1 : jump op25b }",
    "add counter inet edged foreign",
    "add element inet edged pool4 { 10.0.0.0/8 }",
    "add element inet edged pool4 { 255.255.255.255 }",
    "add element inet edged pool6 { fe80::/10 }",
    "delete element inet edged pool4 { 203.0.113.192/26 }",
    "flush set inet edged pool4",
    "add element inet edged free4 { 203.0.113.99 timeout 1h }",
    'add element inet edged free4 { 203.0.113.99 timeout 1h comment "until=soon" }',
    'add element inet edged free4 { 203.0.113.99 comment "until=1800000000" }',
    "delete element inet edged free4 { 203.0.113.7 }; add element inet edged free4 { 203.0.113.7 timeout 1h }",
]


@pytest.mark.parametrize("script", INTRUSIONS)
def test_an_intrusion_is_noticed_and_put_back(linux: LinuxMachine, script: str) -> None:
    kernel = linux.connect()
    bring(kernel, SMALL)
    before = kernel.generation()
    linux.nft(script)
    assert kernel.generation() != before
    assert diff(Desired(SMALL), kernel.observe())
    bring(kernel, SMALL)
    assert_holds(kernel, SMALL)
    assert not diff(Desired(SMALL), kernel.observe())
    assert "accept" not in linux.nft("list ruleset").replace("policy accept", "")
    assert "dormant" not in linux.nft("list ruleset")


REPLACEMENTS = [
    ("pool4", "{ type ipv4_addr; flags interval,timeout; }"),
    ("pool4", "{ type ipv4_addr; }"),
    ("pool4", "{ type ipv4_addr; flags interval; timeout 1h; }"),
    ("pool4", "{ type ipv6_addr; flags interval; }"),
    ("free4", "{ type ipv4_addr; flags interval; }"),
    ("free4", "{ type ipv4_addr; flags interval,timeout; timeout 1h; }"),
    ("pool4", "{ type ipv4_addr; flags interval; size 1; }"),
    ("pool4", "{ type ipv4_addr; flags interval; limit rate 1/hour burst 1 packets; }"),
]


@pytest.mark.parametrize(("name", "shape"), REPLACEMENTS)
def test_a_set_of_another_shape_is_noticed_and_put_back(linux: LinuxMachine, name: str, shape: str) -> None:
    desired = with_chain(SMALL, "op25b")
    kernel = linux.connect()
    bring(kernel, desired)
    linux.nft(f"delete set inet edged {name}; add set inet edged {name} {shape}")
    assert diff(Desired(desired), kernel.observe())
    bring(kernel, desired)
    assert_holds(kernel, desired)


HOOKS = [
    "type filter hook forward priority -6; policy accept;",
    "type filter hook input priority -5; policy accept;",
    "type filter hook forward priority -5; policy drop;",
    "type route hook output priority -5; policy accept;",
    "type nat hook prerouting priority -5; policy accept;",
]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_base_chain_hooked_otherwise_is_noticed_and_put_back(linux: LinuxMachine, hook: str) -> None:
    desired = Table(chains=(Chain("forward", (), Hook("forward", -5)), Chain("output", (), Hook("output", -5))))
    kernel = linux.connect()
    bring(kernel, desired)
    name = "output" if "output" in hook else "forward"
    linux.nft(f"delete chain inet edged {name}; add chain inet edged {name} {{ {hook} }}")
    assert diff(Desired(desired), kernel.observe())
    bring(kernel, desired)
    assert_holds(kernel, desired)


def test_the_base_chain_is_the_same_one_after_an_update(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    bring(kernel, SMALL)

    def chain_handle() -> str:
        return linux.nft("list chain inet edged forward").split("chain forward { # handle ", 1)[1].split("\n", 1)[0]

    before = chain_handle()
    bring(kernel, with_chain(SMALL, "forward", Rule("other", (PortIs(Transport.TCP, Side.SOURCE, 25),), Drop(), DROPPED)))
    assert chain_handle() == before


@pytest.mark.parametrize("off_by", [-5 * 86400, 5 * 86400])
def test_an_exemption_is_written_anew_when_the_clock_was_wrong(linux: LinuxMachine, off_by: int) -> None:
    """OP-10: the kernel counts down what was left by the clock of then; a clock that is set later shows it."""
    until = int(NOW) + 10 * 86400
    desired = with_set(SMALL, "free4", prefix("203.0.113.9/32", until))
    kernel = linux.connect()
    bring(kernel, desired, now=NOW + off_by)
    assert diff(Desired(desired), kernel.observe())
    bring(kernel, desired)
    assert not diff(Desired(desired), kernel.observe())
    assert_holds(kernel, desired)
