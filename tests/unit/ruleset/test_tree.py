"""A table is valid by construction: what the kernel would refuse, or read otherwise, cannot be built."""

from __future__ import annotations

import pytest

from edged.addresses import Family, Range
from edged.origin import Origin
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.tree import (
    AddressIn,
    AddressSet,
    Chain,
    Counter,
    Direction,
    Drop,
    Element,
    Goto,
    Jump,
    PortIs,
    Rule,
    Side,
    Table,
    Transport,
)

COUNTER = Counter("op25b", Direction.UP, Family.IPV4, "drop")


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("chain defined twice: a", {"chains": (Chain("a"), Chain("a"))}),
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


def test_a_fingerprint_changes_with_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("only-in-this-test")
    now = fingerprint(rule)
    fingerprint.cache_clear()
    monkeypatch.setattr("edged.ruleset.fingerprint.__version__", "999")
    assert fingerprint(rule) != now
    fingerprint.cache_clear()
