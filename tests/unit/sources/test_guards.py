"""The guards, each at its bound (BL-7, BL-8)."""

from __future__ import annotations

import io
from ipaddress import ip_network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Prefix
from edged.sources.formats import Plain, parse
from edged.sources.guards import RESERVED, Limits, Protected, judge
from edged.sources.parsed import ListRefused, Parsed, Reason

DEFAULT = Limits()


def a_list(*lines: str) -> Parsed:
    return parse(Plain(), io.BytesIO("\n".join(lines).encode()), show=True)


def addresses(number: int) -> tuple[str, ...]:
    return tuple(f"198.51.{place >> 8}.{place & 255}" for place in range(number))


def verdict(
    parsed: Parsed,
    limits: Limits = DEFAULT,
    protected: tuple[Protected, ...] = (),
    former: int | None = None,
    *,
    show: bool = True,
) -> ListRefused | None:
    try:
        judge(parsed, limits, protected, former, show=show)
    except ListRefused as refused:
        return refused
    return None


def reason(*args: object, **kwargs: object) -> Reason | None:
    refused = verdict(*args, **kwargs)  # type: ignore[arg-type]
    return refused.reason if refused else None


@pytest.mark.parametrize(("number", "former", "expected"), [
    (4, 9, Reason.SHRUNK), (5, 10, None), (18, 9, None), (19, 9, Reason.GROWN), (1, None, None), (1, 0, None), (100, 0, None),
])  # fmt: skip
def test_a_list_may_halve_and_double(number: int, former: int | None, expected: Reason | None) -> None:
    assert reason(a_list(*addresses(number)), former=former) is expected


@pytest.mark.parametrize("percent", range(1, 100))
def test_the_bound_itself_is_let_through_whatever_its_fraction(percent: int) -> None:
    limits = Limits(shrunk=percent / 100, grown=(100 + percent) / 100)
    assert reason(a_list(*addresses(percent)), limits, former=100) is None
    assert reason(a_list(*addresses(100 + percent)), limits, former=100) is None
    assert reason(a_list(*addresses(101 + percent)), limits, former=100) is Reason.GROWN
    if percent > 1:
        assert reason(a_list(*addresses(percent - 1)), limits, former=100) is Reason.SHRUNK


def test_repeated_entries_count_once_and_lengths_tell_them_apart() -> None:
    parsed = a_list("192.0.2.0/24", "192.0.2.0/25", "192.0.2.0", "192.0.2.0/24", "2001:db8::", "2001:db8::/64", "2001:db8::")
    assert (parsed.count, parsed.distinct) == (7, 5)
    assert reason(parsed, former=10) is None
    assert reason(parsed, former=11) is Reason.SHRUNK


@pytest.mark.parametrize(
    ("good", "bad", "expected"), [(99, 1, None), (98, 1, Reason.BAD_LINES), (198, 2, None), (197, 2, Reason.BAD_LINES)]
)
def test_one_line_in_a_hundred_may_be_bad(good: int, bad: int, expected: Reason | None) -> None:
    assert reason(a_list(*addresses(good), *("nonsense",) * bad)) is expected


def test_bad_lines_may_be_forbidden_and_allowed() -> None:
    parsed = a_list(*addresses(999), "nonsense")
    assert reason(parsed, Limits(bad_lines=0.0)) is Reason.BAD_LINES
    assert reason(a_list("192.0.2.1", "nonsense"), Limits(bad_lines=1.0)) is None


def test_a_list_without_entries_is_refused_with_and_without_a_former_one() -> None:
    for parsed in (a_list(), a_list("# none")):
        assert reason(parsed) is reason(parsed, former=0) is reason(parsed, former=9) is Reason.EMPTY
    assert reason(a_list("nonsense")) is Reason.BAD_LINES
    assert reason(a_list("nonsense"), Limits(bad_lines=1.0)) is Reason.EMPTY


@pytest.mark.parametrize(("entry", "expected"), [
    ("198.0.0.0/8", None), ("198.0.0.0/7", Reason.TOO_SHORT), ("0.0.0.0/0", Reason.TOO_SHORT), ("128.0.0.0/1", Reason.TOO_SHORT),
    ("2001:c000::/19", None), ("2001:c000::/18", Reason.TOO_SHORT), ("::/0", Reason.TOO_SHORT),
])  # fmt: skip
def test_prefixes_have_a_least_length(entry: str, expected: Reason | None) -> None:
    assert reason(a_list(entry)) is expected


def test_the_least_length_can_be_set_a_family() -> None:
    limits = Limits(shortest={Family.IPV4: 25, Family.IPV6: 33})
    refused = verdict(a_list("192.0.2.0/24", "192.0.2.0/25", "2001:db8::/32", "2001:db8::/33"), limits)
    assert str(refused) == "line 1: 192.0.2.0/24 is shorter than /25; line 3: 2001:db8::/32 is shorter than /33"


@pytest.mark.parametrize("prefix", RESERVED, ids=str)
def test_reserved_prefixes_are_refused_from_the_first_to_the_last_address(prefix: Prefix) -> None:
    any_length = {Family.IPV4: 0, Family.IPV6: 0}
    middle = prefix[prefix.num_addresses // 2]
    for entry in (prefix, prefix[0], middle, prefix[-1], prefix.supernet()):
        assert reason(a_list(str(entry)), Limits(shortest=any_length)) is Reason.RESERVED
        assert reason(a_list(str(entry)), Limits(shortest=any_length, allow_reserved=True)) is None


@pytest.mark.parametrize("entry", [
    *("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("169.253.255.255", "169.255.0.0"),
    *("172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255", "240.0.0.0", "255.255.255.254"),
    *("::2", "fbff::", "fe00::", "fe7f:ffff::", "fec0::", "feff::", "2001:db8::", "192.0.2.1", "198.51.100.1", "203.0.113.1"),
])  # fmt: skip
def test_the_neighbours_of_reserved_prefixes_and_documentation_are_let_through(entry: str) -> None:
    assert reason(a_list(entry)) is None


def test_reserved_prefixes_do_not_overlap() -> None:
    assert not [pair for pair in combinations(RESERVED, 2) if pair[0].version == pair[1].version and pair[0].overlaps(pair[1])]


@given(st.integers(24, 32), st.integers(0, 255), st.integers(24, 32), st.integers(0, 255))
def test_an_entry_is_refused_exactly_where_it_meets_what_is_protected(
    length: int, last: int, other: int, other_last: int
) -> None:
    entry = ip_network((f"192.0.2.{last}", length), strict=False)
    prefix = ip_network((f"192.0.2.{other_last}", other), strict=False)
    expected = Reason.PROTECTED if entry.overlaps(prefix) else None
    assert reason(a_list(str(entry)), protected=(Protected(prefix, "never_block, edged.yaml:14"),)) is expected


def test_what_is_protected_in_one_family_is_not_in_the_other() -> None:
    protected = (Protected(ip_network("::/0"), "all of IPv6"),)
    assert reason(a_list("192.0.2.1"), protected=protected) is None
    assert reason(a_list("2001:db8::1"), protected=protected) is Reason.PROTECTED


def test_the_first_lines_are_told_in_the_order_of_the_list_and_the_rest_is_counted() -> None:
    protected = (Protected(ip_network("198.51.0.0/16"), "never_block, edged.yaml:14"),)
    refused = verdict(a_list(*reversed(addresses(300))), protected=protected)
    assert refused is not None
    assert refused.line == 1
    assert str(refused).startswith("line 1: 198.51.1.43 is in 198.51.0.0/16 (never_block, edged.yaml:14); line 2: 198.51.1.42 ")
    assert str(refused).endswith("; line 3: 198.51.1.41 is in 198.51.0.0/16 (never_block, edged.yaml:14); and 297 more")


def test_all_reasons_are_told_and_the_gravest_is_the_reason() -> None:
    lines = ("nonsense", "198.51.100.7", "10.0.0.1", "0.0.0.0/0")
    protected = (Protected(ip_network("198.51.100.7"), "a resolver"),)
    expected = [
        (Reason.TOO_SHORT, "line 4: 0.0.0.0/0 is shorter than /8"),
        (Reason.PROTECTED, "line 2: 198.51.100.7 is protected (a resolver)"),
        (Reason.RESERVED, "line 3: 10.0.0.1 is in 10.0.0.0/8 (private, RFC 1918)"),
        (Reason.BAD_LINES, "cannot be read"),
        (Reason.SHRUNK, "fewer entries than 50 % of the last good list"),
    ]
    left = list(lines)
    for place, (gravest, _) in enumerate(expected):
        refused = verdict(a_list(*left), protected=protected, former=100)
        assert refused is not None
        assert refused.reason is gravest
        if place == 0:
            assert all(text in str(refused) for _, text in expected)
            assert [str(refused).index(text) for _, text in expected] == sorted(str(refused).index(text) for _, text in expected)
        removed = {
            Reason.TOO_SHORT: "0.0.0.0/0",
            Reason.PROTECTED: "198.51.100.7",
            Reason.RESERVED: "10.0.0.1",
            Reason.BAD_LINES: "nonsense",
        }
        left = [line for line in left if line != removed.get(gravest)] or ["192.0.2.1"]
        if gravest is Reason.RESERVED:
            left.append("192.0.2.1")


def test_a_confidential_list_is_told_by_its_lines_alone() -> None:
    protected = (Protected(ip_network("203.0.113.0/24"), "the gateway's own address"),)
    parsed = parse(Plain(), io.BytesIO(b"0.0.0.0/0\n203.0.113.7\n10.0.0.1\n198.51.100.7/24\n"), show=False)
    assert str(verdict(parsed, protected=protected, former=100, show=False)) == (
        "line 1 is shorter than /8; line 2 meets a protected prefix (the gateway's own address); "
        "line 3 meets a reserved prefix (private, RFC 1918); "
        "1 of 4 lines cannot be read, where 1 % may be so: line 4: host bits are set; "
        "fewer entries than 50 % of the last good list: 3 after 100"
    )
