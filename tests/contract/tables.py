"""Tables for the contract: a small one that every test can read, and what hypothesis draws from all nodes of the tree."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import strategies as st

from edged.addresses import Family, Range, span
from edged.packed import Keys
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    ConntrackState,
    Continue,
    Direction,
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
    PrefixIn,
    Prohibit,
    Queue,
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
from edged.ruleset.sets import AddressSet, Element, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Counter, Hook, Rule, Table

NOW = 1_800_000_000.25


def prefix(text: str, until: int | None = None) -> Element:
    """The element that a prefix makes."""
    return Element(span(ip_network(text)), until)


POOL = AddressSet("pool4", Family.IPV4, (prefix("203.0.113.0/25"), prefix("203.0.113.192/26")))
POOL6 = AddressSet("pool6", Family.IPV6, (prefix("2001:db8:d::/48"),))
FREE = AddressSet("free4", Family.IPV4, (prefix("203.0.113.7/32"),), expiring=True)
DROPPED = Counter("op25b", Direction.UP, Family.IPV4, "drop")
SENT = Counter("probe", Direction.UP, Family.IPV4, "observe")
BLOCK = Rule(
    "op25b.block",
    (PortIs(Transport.TCP, Side.DESTINATION, 25), AddressIn(Side.SOURCE, Family.IPV4, "pool4")),
    Drop(),
    DROPPED,
)
FREED = Rule("op25b.freed", (AddressIn(Side.SOURCE, Family.IPV4, "free4"),), Return())
SMALL = Table(
    counters=(DROPPED, SENT),
    sets=(POOL, POOL6, FREE),
    chains=(
        Chain("forward", (Rule("forward.op25b", (CameIn("lan0"),), Jump("op25b")),), Hook("forward", -5)),
        Chain("op25b", (FREED, BLOCK, Rule("op25b.block6", (AddressNotIn(Side.SOURCE, Family.IPV6, "pool6"),), Drop()))),
        Chain("output", (Rule("output.sent", (PortIs(Transport.UDP, Side.DESTINATION, 9),), count=SENT),), Hook("output", 0)),
    ),
)


MASK = 0x0000FF00  # the generation's bits in a connection's mark
FLOW_CLASS = 0x00070000


def listed(*texts: str, name: str = "bad4", hidden: bool = False) -> PrefixSet:
    """The set of these prefixes, all of one family and length; without any, of IPv4 /24s."""
    networks = [ip_network(text) for text in texts] or [ip_network("0.0.0.0/24")]
    family, length = Family.of(networks[0]), networks[0].prefixlen
    keys = Keys.of(family, length, (int(network.network_address) for network in networks))
    return PrefixSet(name, keys if texts else keys.none(), hidden)


def asks(made: PrefixSet, side: Side = Side.DESTINATION) -> PrefixIn:
    """The look-up of one end in that set."""
    return PrefixIn(side, made.family, made.keys.length, made.name, made.keys.digest)


def keeping(*lists: PrefixSet, judged: str = "") -> Table:
    """A table that looks addresses up in the lists once a connection and generation, and one rule that is not concerned."""
    digest = judged or "".join(each.keys.digest for each in lists)
    judge = Chain(
        "judge",
        (
            Rule("judge.judged", (GenerationIs(MASK, 1),), Return()),
            *(Rule(f"judge.{each.name}", (asks(each),), Drop()) for each in lists),
            Rule("judge.keep", (StateIn((ConntrackState.NEW, ConntrackState.ESTABLISHED)),), SetGeneration(MASK, 1, digest)),
        ),
    )
    return Table(
        (SENT,),
        lists,
        (
            Chain("forward", (Rule("forward.judge", (), Jump("judge")),), Hook()),
            judge,
            Chain("other", (Rule("other.sent", (PortIs(Transport.UDP, Side.DESTINATION, 9),), count=SENT),)),
        ),
    )


def with_chain(table: Table, name: str, *rules: Rule) -> Table:
    """The table with other rules in one of its chains."""
    return replace(table, chains=tuple(replace(c, rules=rules) if c.name == name else c for c in table.chains))


def with_set(table: Table, name: str, *elements: Element) -> Table:
    """The table with other elements in one of its sets."""
    return replace(
        table,
        sets=tuple(replace(s, elements=elements) if s.name == name and isinstance(s, AddressSet) else s for s in table.sets),
    )


# --- drawn ---

_SIDES = st.sampled_from(Side)
_PORTS = st.sampled_from([1, 25, 53, 443, 65535])
_TRANSPORTS = st.sampled_from(Transport)
_INTERFACES = st.sampled_from(["lan0", "ppp*", "a234567890123-5", "vlan.4094", "wan+1"])
_CHAIN_NAMES = ("alpha", "beta", "gamma", "delta")
_STATES = st.lists(st.sampled_from(ConntrackState), min_size=1, max_size=5, unique=True).map(tuple)
_ENDS = st.one_of(st.none(), st.sampled_from([int(NOW) + 60, int(NOW) + 86400, 253_402_300_799]))


def _bounds(family: Family) -> st.SearchStrategy[int]:
    last = (1 << family.bits) - 1
    edges = [0, 1, 2, 255, 256, 257, 1 << 24, 1 << family.bits - 1, last - 256, last - 1, last]
    return st.one_of(st.sampled_from(edges), st.integers(0, last), st.integers(0, 40))


@st.composite
def address_sets(draw: st.DrawFn, name: str, family: Family) -> AddressSet:
    """Disjoint ranges that touch, nest into what other draws hold, and reach both ends of the address space."""
    cuts = sorted(draw(st.lists(_bounds(family), max_size=12, unique=True)))
    expiring = draw(st.booleans())
    elements: list[Element] = []
    for first, last in itertools.pairwise(cuts):
        free = elements[-1].range.last + 1 if elements else 0
        if draw(st.booleans()) and max(first, free) <= last:
            elements.append(Element(Range(max(first, free), last), draw(_ENDS) if expiring else None))
    return AddressSet(name, family, tuple(elements), expiring)


@st.composite
def prefix_sets(draw: st.DrawFn, name: str, family: Family) -> PrefixSet:
    """Networks of one length, at both ends of the address space too; none at all may be left."""
    length = draw(st.sampled_from([1, 8, family.bits // 2, family.bits - 1, family.bits]))
    mask = (1 << family.bits) - (1 << family.bits - length)
    networks = draw(st.lists(_bounds(family).map(lambda value: value & mask), max_size=12))
    return PrefixSet(name, Keys.of(family, length, networks), draw(st.booleans()))


def _matches(sets: tuple[AddressSet, ...], wide: tuple[PrefixSet, ...], live: tuple[LiveSet, ...]) -> st.SearchStrategy[Match]:
    asking: dict[Holds, type[HasLease | OverLimit]] = {Holds.CLASS: HasLease, Holds.LIMIT: OverLimit}
    of_sets: list[st.SearchStrategy[Match]] = [
        st.builds(asking[each.holds], _SIDES, st.just(each.family), st.just(each.name)) for each in live if each.holds in asking
    ]
    if sets:
        of_sets += [
            st.builds(lambda kind, side, each: kind(side, each.family, each.name), st.just(kind), _SIDES, st.sampled_from(sets))
            for kind in (AddressIn, AddressNotIn)
        ]
    if wide:
        of_sets.append(st.builds(lambda side, each: asks(each, side), _SIDES, st.sampled_from(wide)))
    return st.one_of(
        st.builds(CameIn, _INTERFACES),
        st.builds(GoesOut, _INTERFACES),
        st.builds(IsFamily, st.sampled_from(Family)),
        st.builds(PortIs, _TRANSPORTS, _SIDES, _PORTS),
        *of_sets,
        st.builds(StateIn, _STATES),
        st.builds(DirectionIs, st.sampled_from(ConntrackDirection)),
        st.builds(RateAbove, st.sampled_from([1, 1000, 1_000_000]), st.sampled_from([1, 5, 1000])),
        st.just(GenerationIs(MASK, 1)),
        st.builds(TransportIs, _TRANSPORTS),
        st.sampled_from([MarkIs(FLOW_CLASS, 3), PacketMarkIs(FLOW_CLASS, 0)]),
        st.builds(FlowBytesAbove, st.sampled_from([0, 10**6, (1 << 64) - 1])),
        st.builds(FlowPacketsBelow, st.sampled_from([1, 24])),
    )


def _verdicts(below: tuple[str, ...], live: tuple[LiveSet, ...]) -> st.SearchStrategy[Verdict]:
    plain: tuple[Verdict, ...] = (Accept(), Drop(), ResetTcp(), Prohibit(), Return(), Continue())
    plain += (SetMark(FLOW_CLASS, 4), Queue(1), Queue(3))
    plain += tuple(Remember(Side.SOURCE, each.family, each.name, 5) for each in live if each.holds is Holds.NOTHING)
    keeping = (SetGeneration(MASK, 1, "one"), SetGeneration(MASK, 1, "other"))
    return st.sampled_from((*plain, *keeping, *map(Jump, below), *map(Goto, below)))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table of any nodes. Chains jump along an order that is drawn anew, so that two tables may jump opposite ways."""
    sets = tuple(
        draw(address_sets(name, family))
        for name, family in (("one", Family.IPV4), ("two", Family.IPV6), ("three", Family.IPV4))
        if draw(st.booleans())
    )
    wide = tuple(
        draw(prefix_sets(name, family)) for name, family in (("four", Family.IPV4), ("five", Family.IPV6)) if draw(st.booleans())
    )
    live = tuple(
        LiveSet(f"live{holds.value}{family.value}", family, holds) for holds in Holds for family in Family if draw(st.booleans())
    )
    directions = draw(st.lists(st.sampled_from(Direction), unique=True))
    counters = tuple(Counter("probe", direction, Family.IPV4, "observe") for direction in directions)
    names = draw(st.permutations(_CHAIN_NAMES))[: draw(st.integers(0, 4))]
    matches = _matches(sets, wide, live)
    hooked = draw(st.booleans())
    chains = []
    for index, name in enumerate(names):
        below = tuple(names[index + 1 :])
        rules = tuple(
            Rule(
                f"{name}.{number}",
                tuple(draw(st.lists(matches, max_size=4))),
                draw(_verdicts(below, live)),
                draw(st.sampled_from([None, *counters])),
            )
            for number in range(draw(st.integers(0, 3)))
        )
        chains.append(Chain(name, rules))
    base = [Chain("base", (Rule("base.in", (), Jump(names[0])),) if names else (), Hook())] if hooked else []
    # what such a set holds is known by a rule's note, and a rule has one note
    noting = [Chain("noting", tuple(Rule(f"noting.{each.name}", (asks(each),)) for each in wide))] if wide else []
    return Table(counters, (*sets, *wide, *live), (*base, *noting, *chains))
