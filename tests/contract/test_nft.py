"""What the encoder writes is what nft means by the same words: nft lists it so, and nft's own bytes for them are the same."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from edged.addresses import Family, Range
from edged.kernel.attrs import string
from edged.kernel.identity import COMMENT_LIMIT, body_digest
from edged.kernel.nftsocket import NftSocket
from edged.kernel.rules import encode_rule
from edged.kernel.uapi import Msg, RuleAttr
from edged.ruleset.diff import diff
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    ConntrackState,
    Continue,
    DirectionIs,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    Goto,
    HasLease,
    IsFamily,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    Prohibit,
    Queue,
    QueueForm,
    RateAbove,
    Remember,
    ResetTcp,
    Return,
    SetGeneration,
    SetMark,
    Side,
    StateIn,
    Transport,
    TransportIs,
    Verdict,
)
from edged.ruleset.observed import ObservedLiveSet, ObservedPrefixSet, ObservedSet
from edged.ruleset.plan import Desired
from edged.ruleset.queueing import queued
from edged.ruleset.render import render
from edged.ruleset.sets import AddressSet, Element, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Hook, Rule, Table
from tests.contract.machines import LinuxMachine
from tests.contract.tables import DROPPED, MASK, NOW, SMALL, asks, keeping, listed, prefix, with_chain
from tests.contract.test_kernel import bring
from tests.strategies import Drawn, configurations

SOURCE, DESTINATION = Side.SOURCE, Side.DESTINATION
IPV4, IPV6 = Family.IPV4, Family.IPV6
TCP, UDP = Transport.TCP, Transport.UDP

HALF4 = listed("128.0.0.0/1", name="half4")
BAD4 = listed("0.0.0.0/24", "203.0.113.0/24", "255.255.255.0/24", name="bad4_24")
ONE4 = listed("0.0.0.0/32", "192.0.2.200/32", "255.255.255.255/32", name="one4")
BAD6 = listed("::/20", "2001::/20", "ffff:f000::/20", name="bad6_20")
ONE6 = listed("::/128", "2001:db8::1/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", name="one6")
WIDE = (HALF4, BAD4, ONE4, BAD6, ONE6)
LIVE = tuple(LiveSet(f"{holds.name.lower()}{family.bits}", family, holds) for holds in Holds for family in Family)
ROOMY = Table(SMALL.counters, (*SMALL.sets, *WIDE, *LIVE), (*SMALL.chains, Chain("low")))

MASK64 = "ffff:ffff:ffff:ffff::"

# One line a node: the rule, and what `nft list` says of it before its comment.
LISTED: list[tuple[tuple[Match, ...], Verdict, str]] = [
    ((CameIn("lan0"),), Continue(), 'iifname "lan0"'),
    ((CameIn("ppp*"),), Continue(), 'iifname "ppp*"'),
    ((GoesOut("wan0.4094"),), Continue(), 'oifname "wan0.4094"'),
    ((GoesOut("a23456789012345"),), Continue(), 'oifname "a23456789012345"'),
    ((IsFamily(IPV4),), Continue(), "meta nfproto ipv4"),
    ((IsFamily(IPV6),), Continue(), "meta nfproto ipv6"),
    ((PortIs(TCP, DESTINATION, 25),), Continue(), "tcp dport 25"),
    ((PortIs(TCP, SOURCE, 25),), Continue(), "tcp sport 25"),
    ((PortIs(UDP, DESTINATION, 53),), Continue(), "udp dport 53"),
    ((PortIs(UDP, SOURCE, 65535),), Continue(), "udp sport 65535"),
    ((AddressIn(SOURCE, IPV4, "pool4"),), Continue(), "ip saddr @pool4"),
    ((AddressIn(DESTINATION, IPV4, "free4"),), Continue(), "ip daddr @free4"),
    ((AddressIn(SOURCE, IPV6, "pool6"),), Continue(), "ip6 saddr @pool6"),
    ((AddressIn(DESTINATION, IPV6, "pool6"),), Continue(), "ip6 daddr @pool6"),
    ((AddressNotIn(SOURCE, IPV4, "pool4"),), Continue(), "ip saddr != @pool4"),
    ((AddressNotIn(DESTINATION, IPV6, "pool6"),), Continue(), "ip6 daddr != @pool6"),
    ((asks(HALF4, SOURCE),), Continue(), "ip saddr & 128.0.0.0 == @half4"),
    ((asks(BAD4, SOURCE),), Continue(), "ip saddr & 255.255.255.0 == @bad4_24"),
    ((asks(BAD4, DESTINATION),), Continue(), "ip daddr & 255.255.255.0 == @bad4_24"),
    ((asks(ONE4, DESTINATION),), Continue(), "ip daddr @one4"),
    ((asks(BAD6, SOURCE),), Continue(), "ip6 saddr & ffff:f000:: == @bad6_20"),
    ((asks(BAD6, DESTINATION),), Continue(), "ip6 daddr & ffff:f000:: == @bad6_20"),
    ((asks(ONE6, SOURCE),), Continue(), "ip6 saddr @one6"),
    *(((StateIn((state,)),), Continue(), f"ct state {state.value}") for state in ConntrackState),
    ((StateIn(tuple(ConntrackState)),), Continue(), "ct state invalid,established,related,new,untracked"),
    ((DirectionIs(ConntrackDirection.ORIGINAL),), Continue(), "ct direction original"),
    ((DirectionIs(ConntrackDirection.REPLY),), Continue(), "ct direction reply"),
    ((RateAbove(1000, 500),), Continue(), "limit rate over 1000/second burst 500 packets"),
    ((GenerationIs(MASK, 1),), Continue(), "ct mark & 0x0000ff00 == 0x00000100"),
    ((GenerationIs(0xFF, 255),), Continue(), "ct mark & 0x000000ff == 0x000000ff"),
    ((GenerationIs(0x0FF00000, 3),), Continue(), "ct mark & 0x0ff00000 == 0x00300000"),
    ((TransportIs(TCP),), Continue(), "meta l4proto tcp"),
    ((TransportIs(UDP), PortIs(UDP, SOURCE, 53)), Continue(), "udp sport 53"),
    ((MarkIs(0x00080000, 1),), Continue(), "ct mark & 0x00080000 == 0x00080000"),
    ((MarkIs(0x00070000, 0),), Continue(), "ct mark & 0x00070000 == 0x00000000"),
    ((PacketMarkIs(0x00070000, 2),), Continue(), "meta mark & 0x00070000 == 0x00020000"),
    ((FlowBytesAbove(10_000_000_000),), Continue(), "ct bytes > 10000000000"),
    ((FlowPacketsBelow(24),), Continue(), "ct packets < 24"),
    ((HasLease(DESTINATION, IPV4, "class32"),), Accept(), "meta priority set ip daddr map @class32 accept"),
    ((HasLease(SOURCE, IPV6, "class128"),), Accept(), f"meta priority set ip6 saddr & {MASK64} map @class128 accept"),
    ((OverLimit(SOURCE, IPV4, "limit32"),), Drop(), "limit name ip saddr map @limit32 drop"),
    ((OverLimit(DESTINATION, IPV6, "limit128"),), Drop(), f"limit name ip6 daddr & {MASK64} map @limit128 drop"),
    ((), SetMark(0x00080000, 1), "ct mark set ct mark | 0x00080000"),
    ((), SetMark(0x00070000, 4), "ct mark set ct mark & 0xfffcffff | 0x00040000"),
    ((), Remember(SOURCE, IPV4, "nothing32", 5), "update @nothing32 { ip saddr timeout 5s }"),
    ((), Remember(DESTINATION, IPV6, "nothing128", 90), f"update @nothing128 {{ ip6 daddr & {MASK64} timeout 1m30s }}"),
    ((), Queue(1), "queue flags bypass to 0"),
    ((TransportIs(TCP),), Queue(4), "meta l4proto tcp queue flags bypass to 0-3"),
    ((), Accept(), "accept"),
    ((), Drop(), "drop"),
    ((), Return(), "return"),
    ((), Jump("low"), "jump low"),
    ((), Goto("low"), "goto low"),
    ((), ResetTcp(), "meta l4proto tcp reject with tcp reset"),
    ((), Prohibit(), "reject with icmpx admin-prohibited"),
    ((IsFamily(IPV4),), Prohibit(), "meta nfproto ipv4 reject with icmpx admin-prohibited"),
    ((PortIs(UDP, DESTINATION, 53),), Prohibit(), "udp dport 53 reject with icmpx admin-prohibited"),
    ((), SetGeneration(MASK, 1, "x"), "ct mark set ct mark & 0xffff01ff | 0x00000100"),
    ((PortIs(TCP, DESTINATION, 25),), ResetTcp(), "tcp dport 25 meta l4proto tcp reject with tcp reset"),
]


def chain_listed(linux: LinuxMachine, name: str) -> list[str]:
    """The rules of a chain as nft lists them, without their comments."""
    lines = linux.run("nft", "list", "chain", "inet", "edged", name).stdout.splitlines()[2:-2]
    return [re.sub(r' ?comment "[^"]*"', "", line.strip()) for line in lines]


def as_listed(text: str, form: QueueForm | None) -> str:
    """nft shows the target of xtables in other words than its own expression."""
    return re.sub(r"queue flags bypass to (\S+)", r"queue num \1 bypass", text) if form is QueueForm.TARGET else text


def test_every_node_is_listed_in_nfts_words(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    form = kernel.capabilities().queue
    known = [each for each in LISTED if form is not None or not isinstance(each[1], Queue)]
    rules = [Rule(f"rule{n}", when, then) for n, (when, then, _) in enumerate(known)]
    rules.append(Rule("counted", (IsFamily(IPV4),), Drop(), DROPPED))
    bring(kernel, with_chain(ROOMY, "op25b", *rules))
    assert chain_listed(linux, "op25b") == [
        *(as_listed(text, form) for _, _, text in known),
        'meta nfproto ipv4 counter name "op25b_up_ip_drop" drop',
    ]


def test_the_list_above_has_every_node() -> None:
    used = {type(node) for when, then, _ in LISTED for node in (*when, then)}
    from edged.ruleset import nodes

    assert used == {*nodes.Match.__args__, *nodes.Verdict.__args__}


def test_sets_and_base_chains_are_listed_in_nfts_words(linux: LinuxMachine) -> None:
    whole = AddressSet("all4", IPV4, (Element(Range(0, 2**32 - 1)),))
    edges = AddressSet("edges4", IPV4, (prefix("0.0.0.0/32"), Element(Range(10, 12)), prefix("255.255.255.255/32")))
    edges6 = AddressSet("edges6", IPV6, (prefix("::/127"), prefix("2001:db8::/32"), prefix("ffff::/16")))
    half, ones = replace(HALF4, hidden=True), replace(ONE6, name="ones6")
    ending = AddressSet("ending4", IPV4, (prefix("10.0.0.0/8"), prefix("11.0.0.0/8", int(NOW) + 3600)), expiring=True)
    bring(
        linux.connect(),
        Table(
            sets=(whole, edges, edges6, ending, half, ones),
            chains=(
                Chain("raw", (), Hook("prerouting", -300)),
                Chain("judge", (Rule("judge.half", (asks(half),), Drop()), Rule("judge.ones", (asks(ones),), Drop()))),
            ),
        ),
    )
    listed = re.sub(r"\s+", " ", linux.run("nft", "list", "table", "inet", "edged").stdout)
    assert "set all4 { type ipv4_addr flags interval elements = { 0.0.0.0/0 } }" in listed
    assert "elements = { 0.0.0.0, 0.0.0.10-0.0.0.12, 255.255.255.255 }" in listed
    assert "set edges6 { type ipv6_addr flags interval elements = { ::/127, 2001:db8::/32, ffff::/16 } }" in listed
    assert "set ending4 { type ipv4_addr flags interval,timeout elements = { 10.0.0.0/8, 11.0.0.0/8 timeout " in listed
    assert f'comment "until={int(NOW) + 3600}" }} }}' in listed
    assert "set half4 { type ipv4_addr size 768 elements = { 128.0.0.0 } }" in listed, "the kernel's own list hides nothing"
    assert "set ones6 { type ipv6_addr size 768 elements = { " in listed
    assert "chain raw { type filter hook prerouting priority raw; policy accept; }" in listed


def bodies(linux: LinuxMachine) -> list[tuple[str, str]]:
    """Chain and body digest of every rule in the kernel."""
    opened = NftSocket(linux.name)
    try:
        found = [reply.attributes for reply in opened.dump(Msg.GETRULE)]
        return [(string(each[RuleAttr.CHAIN]), body_digest(each[RuleAttr.EXPRESSIONS])) for each in found]
    finally:
        opened.close()


def bodies_sent(table: Table) -> list[tuple[str, str]]:
    return [(chain.name, body_digest(encode_rule(rule))) for chain in table.chains for rule in chain.rules]


def assert_same_as_nft(linux: LinuxMachine, table: Table) -> None:
    """nft, given the rendered text, writes the same expressions and elements as the encoder."""
    kernel = linux.connect()
    if not kernel.capabilities().features["queue"]:
        table = queued(table, None)  # the text is in nft's own words
    linux.run("nft", "flush", "ruleset")
    linux.load(render(table, int(NOW)))
    assert bodies(linux) == bodies_sent(table)
    observed = kernel.observe().table
    assert observed is not None
    for each in table.sets:
        found = observed.sets[each.name]
        if isinstance(each, LiveSet):
            assert found == ObservedLiveSet(each.name, each.family, each.holds, each.size)
        elif isinstance(each, PrefixSet):
            assert isinstance(found, ObservedPrefixSet)
            assert (found.family, found.size) == (each.family, each.size)
            assert linux.addresses(each.name) == [each.family.address(network) for network in each.keys.networks()]
        else:
            assert isinstance(found, ObservedSet)
            assert {element.range for element in found.elements} == {element.range for element in each.elements}
    kernel.close()


@given(drawn=configurations())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_nft_writes_the_same_for_any_policies(linux: LinuxMachine, drawn: Drawn) -> None:
    assert_same_as_nft(linux, drawn.table())


def test_nft_writes_the_same_for_every_node(linux: LinuxMachine) -> None:
    rules = [Rule(f"rule{n}", when, then, DROPPED) for n, (when, then, _) in enumerate(LISTED)]
    rules.append(Rule("twice", (IsFamily(IPV4), AddressIn(SOURCE, IPV4, "pool4"), AddressNotIn(DESTINATION, IPV4, "free4"))))
    # not both ports in one rule: nft joins the two into one load of four bytes, which means the same
    rules.append(Rule("both", (PortIs(TCP, DESTINATION, 25), CameIn("lan*"), AddressIn(SOURCE, IPV6, "pool6")), ResetTcp()))
    assert_same_as_nft(linux, with_chain(ROOMY, "op25b", *rules))


@pytest.mark.parametrize("length", [60, 96, 97, 300])
def test_long_names_make_comments_that_nft_shows(linux: LinuxMachine, length: int) -> None:
    table = Table(chains=(Chain("one", (Rule("r" * length, (CameIn("lan0"),), Drop()),)),))
    kernel = linux.connect()
    bring(kernel, table)
    comment = re.search(r'comment "([^"]*)"', linux.run("nft", "list", "ruleset").stdout)
    assert comment is not None
    assert len(comment[1]) == min(length + 32, COMMENT_LIMIT)
    assert not diff(Desired(table), kernel.observe())
    # nft must be able to take back what it shows
    linux.load("flush ruleset\n" + linux.run("nft", "list", "ruleset").stdout)
    assert not diff(Desired(table), kernel.observe())


@pytest.mark.parametrize("table", [SMALL, keeping(BAD4), keeping(*WIDE)], ids=["small", "a list", "lists"])
def test_a_table_restored_from_nfts_listing_is_the_same(linux: LinuxMachine, table: Table) -> None:
    kernel = linux.connect()
    bring(kernel, table)
    text = linux.run("nft", "list", "ruleset").stdout
    linux.load("flush ruleset\n" + text)
    assert not diff(Desired(table), kernel.observe())
