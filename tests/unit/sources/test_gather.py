"""Texts to entries: what the fast ways take is what the standard library would, and the bad ones are told by line."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family, Prefix
from edged.packed import pack, pack_number
from edged.sources import gather
from edged.sources.gather import Gatherer, has_host_bits, has_mapped
from edged.sources.parsed import ListRefused, Parsed, Reason
from edged.sources.spelling import octets

EVERYTHING = {Family.IPV4: ip_network("0.0.0.0/0"), Family.IPV6: ip_network("::/0")}

# near misses, made of what entries are made of
pieces = st.sampled_from(
    ["0", "1", "32", "24", "255", "256", "01", "::", ":", ".", "/", "1.1.1.1", "2001:db8::", "ffff", " ", ""]
)
near_misses = st.lists(pieces, max_size=7).map("".join)
networks = st.one_of(
    st.builds(lambda value, length: ip_network((value >> (32 - length) << (32 - length), length)),
              st.integers(0, (1 << 32) - 1), st.integers(0, 32)),
    st.builds(lambda value, length: ip_network((value >> (128 - length) << (128 - length), length)),
              st.integers(1 << 64, (1 << 128) - 1), st.integers(70, 128)),
)  # fmt: skip
texts = st.one_of(
    near_misses,
    networks.map(str),
    networks.map(lambda each: str(each.network_address)),
    st.text(max_size=5),
    st.text(st.characters(codec=None), max_size=3),
)


def taken(*batch: str, show: bool = True) -> Parsed:
    gatherer = Gatherer(show=show)
    gatherer.add(list(batch), np.arange(1, len(batch) + 1, dtype=np.uint32))
    return gatherer.parsed("")


def entries_of(parsed: Parsed) -> list[tuple[int, str]]:
    found = []
    for family, entries in parsed.entries.items():
        for network, length, line in entries.meeting(EVERYTHING[family]):
            found.append((line, f"{family.address(network)}/{length}"))
    return sorted(found)


def by_the_standard_library(text: str) -> str | None:
    """The entry as ipaddress reads it, without what it reads and a list may not say."""
    address, slash, length = text.partition("/")
    if not text.isascii() or (slash and not (length.isdecimal() and str(int(length)) == length)):
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return None
    mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None
    return None if mapped or "%" in address else str(network)


@given(st.lists(texts, max_size=12))
def test_a_batch_is_what_each_of_its_texts_is(batch: list[str]) -> None:
    parsed = taken(*batch)
    expected = [(line, entry) for line, text in enumerate(batch, 1) if (entry := by_the_standard_library(text))]
    assert entries_of(parsed) == sorted((line, str(ip_network(entry))) for line, entry in expected)
    good = {line for line, _ in expected}
    assert [bad.line for bad in parsed.bad] == [line for line in range(1, len(batch) + 1) if line not in good]
    assert (parsed.count, parsed.bad_count) == (len(expected), len(batch) - len(expected))
    assert all(bad.message for bad in parsed.bad)


@pytest.mark.parametrize(
    "text", ["1.1.1.1/32/2.2.2.2", "1.1.1.1//32", "1.1.1.1/", "/32", "1.1.1.1/32/", "2001:db8::/64/2001:db8::"]
)
@pytest.mark.parametrize("beside", ["32", "24", "1.1.1.1", "1.1.1.0/24", "/", ""])
def test_slashes_of_one_text_never_make_an_entry_of_another(text: str, beside: str) -> None:
    for batch in ((text, beside), (beside, text)):
        assert [entry for _, entry in entries_of(taken(*batch))] == [
            str(ip_network(each)) for each in batch if by_the_standard_library(each)
        ]


@pytest.mark.parametrize("text", [
    *("010.1.1.1", "1.1.1.01", " 1.1.1.1", "1.1.1.1 ", "1.1.1.1\n", "1.1.1", "0x1.1.1.1", "16843009", "+1.1.1.1"),
    *("1.1.1.1\0", "\ud800", ""),
    *("::1%lo", "12345::", "1::2::3", "::1 ", "1:2:3:4:5:6:7", "\uff11.1.1.1", "::01.1.1.1", "::ffff:1.1.1.1"),
])  # fmt: skip
def test_the_c_library_is_as_strict_as_it_must_be(text: str) -> None:
    parsed = taken(text)
    assert (parsed.count, parsed.bad_count) == (0, 1)
    if text != "::ffff:1.1.1.1":
        assert [octets(family, text) for family in Family] == [None, None]


def test_entries_come_in_order_with_their_lines() -> None:
    parsed = taken("192.0.2.7", "192.0.2.0/24", "2001:db8::1", "192.0.2.7", "192.0.2.0", "2001:db8::/32")
    ipv4, ipv6 = parsed.entries[Family.IPV4], parsed.entries[Family.IPV6]
    assert (list(ipv4.lengths), list(ipv4.lines)) == ([24, 32, 32, 32], [2, 5, 1, 4])
    assert (list(ipv6.lengths), list(ipv6.lines)) == ([32, 128], [6, 3])
    assert (parsed.count, parsed.distinct) == (6, 5)


def test_the_first_20_bad_lines_are_told_over_batches_and_families() -> None:
    gatherer = Gatherer(show=True)
    for first in range(1, 61, 6):
        gatherer.refuse(first, "refused")
        batch = ["2001:db8::1/32", "192.0.2.1/24", "2001:db8::", "192.0.2.1", "x"]
        gatherer.add(batch, np.arange(first + 1, first + 6, dtype=np.uint32))
    parsed = gatherer.parsed("")
    lines = [first + more for first in range(1, 61, 6) for more in (0, 1, 2, 5)]
    assert [bad.line for bad in parsed.bad] == lines[:20]
    assert (parsed.bad_count, parsed.count) == (40, 20)


def test_bad_lines_take_no_memory_past_those_that_are_told() -> None:
    gatherer = Gatherer(show=True)
    for line in range(1, 100_001):
        gatherer.refuse(line, "refused")
        assert len(gatherer._bad) <= gather.BATCH
    parsed = gatherer.parsed("")
    assert [bad.line for bad in parsed.bad] == list(range(1, 21))
    assert parsed.bad_count == 100_000


def test_more_entries_than_a_gateway_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MOST_ENTRIES", 3)
    assert taken("192.0.2.1", "192.0.2.2", "192.0.2.3").count == 3
    with pytest.raises(ListRefused, match=r"^more than 3 entries$") as raised:
        taken("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    assert raised.value.reason is Reason.UNREADABLE


@given(networks, st.integers(0, 127))
def test_host_bits_are_those_behind_the_prefix_length(network: Prefix, place: int) -> None:
    family = Family.of(network)
    bit = place % family.bits
    address = pack_number(family, int(network.network_address) ^ (1 << bit))
    is_behind = bit < family.bits - network.prefixlen
    assert has_host_bits(family, address, np.array([network.prefixlen], np.uint8)) is is_behind


@pytest.mark.parametrize(("text", "mapped"), [
    ("::ffff:0.0.0.0", True), ("::ffff:255.255.255.255", True), ("::fffe:1.1.1.1", False), ("::1.1.1.1", False),
    ("::1:ffff:1.1.1.1", False), ("1::ffff:1.1.1.1", False), ("64:ff9b::1.1.1.1", False),
])  # fmt: skip
def test_mapped_addresses_are_those_of_their_prefix(text: str, mapped: bool) -> None:
    wire = octets(Family.IPV6, text)
    assert wire is not None
    assert has_mapped(pack(Family.IPV6, wire)) is mapped
