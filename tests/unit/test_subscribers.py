"""Who has an address: the one search is what looking through every prefix is."""

from __future__ import annotations

from array import array
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Prefix, merge, span
from edged.sources.subscribers import parse
from edged.subscribers import DEFAULT_LENGTHS, Rows, Subscriber, Subscribers

PLANS = (None, "gold", "business")


def subscribers(*rows: tuple[str, str, str | None], lengths: dict[Family, int] | None = None) -> Subscribers:
    """Those of rows of id, prefixes and plan."""
    text = "id,prefixes,plan\n" + "".join(f"{identity},{prefixes},{plan or ''}\n" for identity, prefixes, plan in rows)
    found = parse(text.encode(), None)
    assert found.rows is not None, found.mistakes
    return Subscribers(found.rows, lengths or DEFAULT_LENGTHS)


def of(found: Subscribers, address: str) -> Subscriber:
    parsed = ip_address(address)
    return found.of(Family.of(parsed), int(parsed))


def test_all_addresses_of_a_row_are_one_subscriber() -> None:
    found = subscribers(("c1", "203.0.113.8/30 2001:db8:d::/56 198.51.100.7", "gold"))
    one = of(found, "203.0.113.11")
    assert one == Subscriber("c1", ip_network("203.0.113.8/30"), "gold")
    assert {one, of(found, "2001:db8:d:ff::1"), of(found, "198.51.100.7")} == {one}


def test_the_longest_prefix_decides() -> None:
    found = subscribers(
        ("around", "203.0.113.0/24 2001:db8::/32", None),
        ("inside", "203.0.113.0/28 2001:db8:d::/48", None),
        ("innermost", "203.0.113.8/29 2001:db8:d:ff00::/56", None),
        ("everyone", "0.0.0.0/0 ::/0", None),
    )
    addresses = {
        "around": ("203.0.113.16", "203.0.113.255", "2001:db8:c:ffff::", "2001:db8:e::"),
        "inside": ("203.0.113.0", "203.0.113.7", "2001:db8:d::", "2001:db8:d:fe00::1"),
        "innermost": ("203.0.113.8", "203.0.113.15", "2001:db8:d:ffff::1"),
        "everyone": ("0.0.0.0", "203.0.112.255", "203.0.114.0", "255.255.255.255", "::", "ffff:ffff:ffff::"),
    }
    for identity, theirs in addresses.items():
        assert [of(found, each).id for each in theirs] == [identity] * len(theirs)


@pytest.mark.parametrize(
    ("lengths", "keys"),
    [
        ({Family.IPV4: 32, Family.IPV6: 64}, ("198.51.100.77/32", "2001:db8:1:2::/64")),
        ({Family.IPV4: 24, Family.IPV6: 48}, ("198.51.100.0/24", "2001:db8:1::/48")),
        ({Family.IPV4: 1, Family.IPV6: 128}, ("128.0.0.0/1", "2001:db8:1:2:3::9/128")),
    ],
)
def test_an_address_without_a_row_is_its_own_subscriber(lengths: dict[Family, int], keys: tuple[str, str]) -> None:
    found = subscribers(("c1", "203.0.113.8/30 2001:db8:d::/56", "gold"), lengths=lengths)
    own = [of(found, "198.51.100.77"), of(found, "2001:db8:1:2:3::9")]
    assert own == [Subscriber(None, ip_network(key), None) for key in keys]
    assert found.row_of(Family.IPV4, int(IPv4Address("198.51.100.77"))) is None


def test_a_row_is_found_with_its_line_and_all_its_prefixes() -> None:
    found = subscribers(("c1", "203.0.113.8/30", None), ("c2", "2001:db8:d::/56 203.0.113.1", "gold"))
    row = found.row_of(Family.IPV6, int(IPv6Address("2001:db8:d::5")))
    assert row == ("c2", "gold", (ip_network("2001:db8:d::/56"), ip_network("203.0.113.1/32")), 3)


def test_plans_are_counted() -> None:
    assert subscribers().count_by_plan() == {}
    found = subscribers(("a", "10.0.0.1", "gold"), ("b", "10.0.0.2 10.0.0.4", "gold"), ("c", "10.0.0.3", None))
    assert found.count_by_plan() == {"gold": 2, None: 1}
    assert len(found) == 3


def test_neighbours_of_a_plan_are_one_range() -> None:
    found = subscribers(("a", "10.0.0.0/30", "gold"), ("b", "10.0.0.4/30", "gold"), ("c", "255.255.255.0/24", "gold"))
    ranges = [(IPv4Address(each.first), IPv4Address(each.last)) for each in found.prefixes_of_plan("gold", Family.IPV4)]
    assert [f"{first}-{last}" for first, last in ranges] == ["10.0.0.0-10.0.0.7", "255.255.255.0-255.255.255.255"]
    assert found.prefixes_of_plan("gold", Family.IPV6) == ()
    assert found.prefixes_of_plan("silver", Family.IPV4) == ()


# few bits, so that prefixes meet, at both ends of the address space
ends = st.one_of(
    st.builds(lambda value, length: ip_network((value >> (32 - length) << (32 - length), length)),
              st.sampled_from([*range(12), *range((1 << 32) - 12, 1 << 32)]), st.integers(0, 32)),
    st.builds(lambda value, length: ip_network((value >> (128 - length) << (128 - length), length)),
              st.sampled_from([*range(1 << 65, (1 << 65) + 12), *range((1 << 128) - 12, 1 << 128)]), st.integers(0, 128)),
)  # fmt: skip
tables = st.lists(st.tuples(st.lists(ends, min_size=1, max_size=4), st.sampled_from(PLANS)), max_size=6)


@given(tables)
def test_one_search_is_looking_through_all_prefixes(table: list[tuple[list[Prefix], str | None]]) -> None:
    seen: set[Prefix] = set()
    rows: list[tuple[list[Prefix], str | None]] = []
    for prefixes, plan in table:
        mine = [prefix for prefix in dict.fromkeys(prefixes) if prefix not in seen]
        seen.update(mine)
        if mine:
            rows.append((mine, plan))
    found = subscribers(*((f"c{number}", " ".join(map(str, mine)), plan) for number, (mine, plan) in enumerate(rows)))
    for family in Family:
        top = (1 << family.bits) - 1
        theirs = [(prefix, number) for number, (held, _) in enumerate(rows) for prefix in held if Family.of(prefix) is family]
        edges = {edge for prefix, _ in theirs for edge in (span(prefix).first, span(prefix).last)}
        addresses = {min(max(edge + step, 0), top) for edge in edges | {0, top} for step in (-1, 0, 1)}
        ranges = {plan: found.prefixes_of_plan(plan, family) for plan in PLANS}
        assert all(merge(each) == each for each in ranges.values())
        for address in addresses:
            around = [(prefix.prefixlen, number) for prefix, number in theirs if address in span(prefix)]
            expected = max(around)[1] if around else None
            assert found.of(family, address).id == (None if expected is None else f"c{expected}")
            assert [plan for plan, held in ranges.items() if any(address in each for each in held)] == (
                [] if expected is None else [rows[expected][1]]
            )


def test_equal_rows_are_equal_subscribers() -> None:
    assert subscribers(("a", "10.0.0.1", "gold")) == subscribers(("a", "10.0.0.1", "gold"))
    assert subscribers(("a", "10.0.0.1", "gold")) != subscribers(("a", "10.0.0.2", "gold"))
    assert Subscribers(Rows()) == Subscribers()
    assert subscribers().rows.lines == array("I")
