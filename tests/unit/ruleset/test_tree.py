"""A table is valid by construction: what the kernel would refuse, or read otherwise, cannot be built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.addresses import Family, Range
from edged.origin import Origin
from edged.packed import Keys
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import (
    AddressIn,
    AddressNotIn,
    Direction,
    Drop,
    GenerationIs,
    Goto,
    HasLease,
    Jump,
    OverLimit,
    PortIs,
    PrefixIn,
    Prohibit,
    Remember,
    SetGeneration,
    Side,
    Transport,
)
from edged.ruleset.sets import AddressSet, Element, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Counter, Rule, Table

FOUR = Keys.of(Family.IPV4, 24, [0, 256])
ASKS_FOUR = PrefixIn(Side.SOURCE, Family.IPV4, 24, "s", FOUR.digest)
COUNTER = Counter("op25b", Direction.UP, Family.IPV4, "drop")


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("chain defined twice: a", {"chains": (Chain("a"), Chain("a"))}),
        *(
            (
                "asks for ipv4 set s, which is not there",
                {"sets": (made,), "chains": (Chain("a", (Rule("r", (match,) if match else (), then),)),)},
            )
            for made, match, then in (
                (LiveSet("s", Family.IPV4, Holds.LIMIT), HasLease(Side.SOURCE, Family.IPV4, "s"), Drop()),
                (LiveSet("s", Family.IPV6, Holds.CLASS), HasLease(Side.SOURCE, Family.IPV4, "s"), Drop()),
                (LiveSet("other", Family.IPV4, Holds.CLASS), HasLease(Side.SOURCE, Family.IPV4, "s"), Drop()),
                (LiveSet("s", Family.IPV4, Holds.CLASS), OverLimit(Side.SOURCE, Family.IPV4, "s"), Drop()),
                (LiveSet("s", Family.IPV4, Holds.CLASS), None, Remember(Side.SOURCE, Family.IPV4, "s", 5)),
                (AddressSet("s", Family.IPV4), None, Remember(Side.SOURCE, Family.IPV4, "s", 5)),
                (LiveSet("s", Family.IPV4, Holds.NOTHING), AddressIn(Side.SOURCE, Family.IPV4, "s"), Drop()),
            )
        ),
        ("set defined twice: s", {"sets": (AddressSet("s", Family.IPV4), LiveSet("s", Family.IPV4, Holds.CLASS))}),
        ("set defined twice: s", {"sets": (AddressSet("s", Family.IPV4), AddressSet("s", Family.IPV6))}),
        ("counter defined twice: op25b_up_ip_drop", {"counters": (COUNTER, COUNTER)}),
        ("rule defined twice: r", {"chains": (Chain("a", (Rule("r"),)), Chain("b", (Rule("r"),)))}),
        ("goes to chain nowhere, which is not there", {"chains": (Chain("a", (Rule("r", then=Jump("nowhere")),)),)}),
        ("counts in op25b_up_ip_drop, which is not there", {"chains": (Chain("a", (Rule("r", count=COUNTER),)),)}),
        (
            "asks for ipv4 set s, which is not there",
            {"chains": (Chain("a", (Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),)),)),)},
        ),
        (
            "asks for ipv4 set s, which is not there",
            {
                "sets": (AddressSet("s", Family.IPV6),),
                "chains": (Chain("a", (Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),)),)),),
            },
        ),
        *(
            (
                f"rule r asks for {match.family.label} set s, which is not there",
                {"sets": (made,), "chains": (Chain("a", (Rule("r", (match,)),)),)},
            )
            for made, match in (
                (PrefixSet("other", FOUR), ASKS_FOUR),
                (AddressSet("s", Family.IPV4), ASKS_FOUR),
                (PrefixSet("s", FOUR), AddressIn(Side.SOURCE, Family.IPV4, "s")),
                (PrefixSet("s", FOUR), AddressNotIn(Side.SOURCE, Family.IPV4, "s")),
                (PrefixSet("s", FOUR), replace(ASKS_FOUR, family=Family.IPV6)),
                (PrefixSet("s", FOUR), replace(ASKS_FOUR, length=25)),
                (PrefixSet("s", FOUR), replace(ASKS_FOUR, content="0123456789abcdef")),
                (PrefixSet("s", FOUR.none()), ASKS_FOUR),
            )
        ),
        ("set defined twice: s", {"sets": (AddressSet("s", Family.IPV4), PrefixSet("s", FOUR))}),
        ("circle: a > a", {"chains": (Chain("a", (Rule("r", then=Goto("a")),)),)}),
        (
            "circle: a > b > a",
            {"chains": (Chain("a", (Rule("r", then=Jump("b")),)), Chain("b", (Rule("t", then=Goto("a")),)))},
        ),
    ],
)
def test_a_table_refuses(message: str, parts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=message):
        Table(**parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "family", "elements"),
    [
        ("overlap or are out of order", Family.IPV4, (Element(Range(1, 5)), Element(Range(5, 9)))),
        ("overlap or are out of order", Family.IPV4, (Element(Range(7, 9)), Element(Range(1, 5)))),
        ("leaves the ipv4 address space", Family.IPV4, (Element(Range(0, 1 << 32)),)),
        ("leaves the ipv6 address space", Family.IPV6, (Element(Range(0, 1 << 128)),)),
        ("the set is not expiring", Family.IPV4, (Element(Range(1, 2), until=1),)),
    ],
)
def test_a_set_refuses(message: str, family: Family, elements: tuple[Element, ...]) -> None:
    with pytest.raises(ValueError, match=message):
        AddressSet("s", family, elements)


def test_a_table_gives_a_set_by_its_kind_alone() -> None:
    ranges, hashed = AddressSet("ranges", Family.IPV4), PrefixSet("hashed", FOUR)
    table = Table(sets=(ranges, hashed), chains=(Chain("a", (Rule("r", (replace(ASKS_FOUR, set="hashed"),)),)),))
    assert (table.ranges("ranges"), table.prefixes("hashed")) == (ranges, hashed)
    for wrong in (table.ranges, table.prefixes):
        for name in ("hashed" if wrong == table.ranges else "ranges", "nowhere"):
            with pytest.raises(LookupError, match=name):
                wrong(name)


@pytest.mark.parametrize(
    ("count", "size"), [(0, 768), (1, 768), (614, 768), (615, 1536), (1228, 1536), (1229, 3072), (1_000_000, 1_572_864)]
)
def test_a_set_of_prefixes_has_room_for_a_quarter_more(count: int, size: int) -> None:
    made = PrefixSet("s", Keys.of(Family.IPV4, 32, range(count)))
    assert made.size == size
    assert made.size >= count * 5 / 4


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (Rule("r", (ASKS_FOUR,), Drop()), ("s", FOUR.digest)),
        (Rule("r", (PortIs(Transport.TCP, Side.SOURCE, 1), ASKS_FOUR)), ("s", FOUR.digest)),
        (Rule("r", then=SetGeneration(0xFF00, 17, "x")), ("generation", "17")),
        (Rule("r", (GenerationIs(0xFF00, 17),), Drop()), None),
        (Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),), Drop()), None),
    ],
)
def test_a_rule_notes_what_is_never_read_back(rule: Rule, note: tuple[str, str] | None) -> None:
    assert rule.note == note


def test_an_expiring_set_may_hold_elements_without_an_end() -> None:
    assert AddressSet("s", Family.IPV4, (Element(Range(1, 2)), Element(Range(3, 4), until=9)), expiring=True).elements


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_port_is_one(port: int) -> None:
    with pytest.raises(ValueError, match="not a port"):
        PortIs(Transport.TCP, Side.SOURCE, port)


def test_a_rule_is_the_same_wherever_it_was_written() -> None:
    here, there = (Rule("r", then=Drop(), count=COUNTER, origin=Origin("a.yaml", line)) for line in (1, 2))
    assert here == there
    assert fingerprint(here) == fingerprint(there)


@pytest.mark.parametrize(
    "other",
    [
        Rule("other", (AddressIn(Side.SOURCE, Family.IPV4, "s"),), Drop(), COUNTER),
        Rule("r", (AddressIn(Side.DESTINATION, Family.IPV4, "s"),), Drop(), COUNTER),
        Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "t"),), Drop(), COUNTER),
        Rule("r", (), Drop(), COUNTER),
        Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),), Jump("c"), COUNTER),
        Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),), Drop(), None),
    ],
)
def test_a_fingerprint_covers_all_that_a_rule_means(other: Rule) -> None:
    rule = Rule("r", (AddressIn(Side.SOURCE, Family.IPV4, "s"),), Drop(), COUNTER)
    assert fingerprint(rule) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Rule("r", (ASKS_FOUR,)), Rule("r", (replace(ASKS_FOUR, content="other"),))),
        (Rule("r", (ASKS_FOUR,)), Rule("r", (replace(ASKS_FOUR, length=25),))),
        (Rule("r", (GenerationIs(0xFF00, 1),)), Rule("r", (GenerationIs(0xFF00, 2),))),
        (Rule("r", (GenerationIs(0xFF00, 1),)), Rule("r", (GenerationIs(0xFF, 1),))),
        (Rule("r", then=SetGeneration(0xFF, 1, "x")), Rule("r", then=SetGeneration(0xFF, 1, "y"))),
        (Rule("r", then=SetGeneration(0xFF, 1, "x")), Rule("r", then=SetGeneration(0xFF, 2, "x"))),
        (Rule("r", then=SetGeneration(0xFF, 1, "x")), Rule("r", then=SetGeneration(0xFF00, 1, "x"))),
        (Rule("r", then=Prohibit()), Rule("r", then=Drop())),
    ],
)
def test_a_fingerprint_covers_content_and_generation(one: Rule, other: Rule) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_a_fingerprint_changes_with_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("only-in-this-test")
    now = fingerprint(rule)
    fingerprint.cache_clear()
    monkeypatch.setattr("edged.ruleset.fingerprint.__version__", "999")
    assert fingerprint(rule) != now
    fingerprint.cache_clear()
