"""What is said of a text that is no entry, to those who may see it and to those who may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.sources.spelling import mistake, written

MISTAKES = {
    "": ("no address", ""),
    "192.0.2.1/24": ("host bits are set", " in 192.0.2.1/24; write 192.0.2.0/24"),
    "2001:DB8::7/64": ("host bits are set", " in 2001:DB8::7/64; write 2001:db8::/64"),
    "192.0.2.1/0": ("host bits are set", " in 192.0.2.1/0; write 0.0.0.0/0"),
    "192.0.2.01": ("a leading zero: octal to some programs, decimal to others", ": '192.0.2.01'"),
    "192.0.02.0/24": ("a leading zero: octal to some programs, decimal to others", ": '192.0.02.0/24'"),
    "192.0.2.1-192.0.2.9": ("a range; write it as its prefixes", ": '192.0.2.1-192.0.2.9'"),
    "192.0.2.0/255.255.255.0": ("a netmask; write the prefix length", ": '192.0.2.0/255.255.255.0'"),
    "192.0.2.0/33": ("not a prefix length from 0 to 32", ": '192.0.2.0/33'"),
    "2001:db8::/129": ("not a prefix length from 0 to 128", ": '2001:db8::/129'"),
    "192.0.2.0/9999999999": ("not a prefix length from 0 to 32", ": '192.0.2.0/9999999999'"),
    "192.0.2.0/+24": ("not a prefix length from 0 to 32", ": '192.0.2.0/+24'"),
    "192.0.2.1:25": ("an address with a port; a list holds addresses and prefixes", ": '192.0.2.1:25'"),
    "[::1]:25": ("an address with a port; a list holds addresses and prefixes", ": '[::1]:25'"),
    "fe80::1%lan0": ("an address with a zone", ": 'fe80::1%lan0'"),
    "::ffff:192.0.2.1": ("an IPv4-mapped IPv6 address; write the IPv4 one", ", 192.0.2.1: '::ffff:192.0.2.1'"),
    "mail.example.net": ("a host name, not an address", ": 'mail.example.net'"),
    "mail.example.net.": ("a host name, not an address", ": 'mail.example.net.'"),
    "1a.2b.example": ("a host name, not an address", ": '1a.2b.example'"),
    "https://192.0.2.1/": ("a URL, not an address", ": 'https://192.0.2.1/'"),
    "192.0.2.1 bad": ("more than an address or a prefix", ": '192.0.2.1 bad'"),
    "192.0.2": ("not an address or a prefix", ": '192.0.2'"),
    "1.2.3.4.5": ("not an address or a prefix", ": '1.2.3.4.5'"),
    "\x1b[2J": ("not an address or a prefix", r": '\x1b[2J'"),
    "-": ("not an address or a prefix", ": '-'"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_what_to_write(text: str) -> None:
    kind, detail = MISTAKES[text]
    assert mistake(text, show=True) == kind + detail
    assert mistake(text, show=False) == kind


@given(st.text(st.characters(codec=None), max_size=30))
def test_a_mistake_of_any_text_is_one_of_few_kinds_on_one_line(text: str) -> None:
    assert mistake(text, show=False) in {kind for kind, _ in MISTAKES.values()}
    assert mistake(text, show=True).isprintable()


def test_a_long_text_is_cut() -> None:
    assert mistake("x" * 60_000, show=True) == f"not an address or a prefix: '{'x' * 57}...'"


@pytest.mark.parametrize(("family", "network", "length", "text"), [
    (Family.IPV4, 0xC0000200, 24, "192.0.2.0/24"), (Family.IPV4, 0xC0000201, 32, "192.0.2.1"), (Family.IPV4, 0, 0, "0.0.0.0/0"),
    (Family.IPV6, 0, 0, "::/0"), (Family.IPV6, 1, 128, "::1"), (Family.IPV6, 0x20010DB8 << 96, 32, "2001:db8::/32"),
])  # fmt: skip
def test_an_entry_is_written_as_lists_write_it(family: Family, network: int, length: int, text: str) -> None:
    assert written(family, network, length) == text
