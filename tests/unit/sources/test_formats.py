"""All formats: what is written is read back, any bytes come to entries or a refusal, and a confidential list stays so."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.sources.formats import CsvFormat, Format, Plain, SpamhausDrop, parse
from edged.sources.guards import Limits, judge
from edged.sources.parsed import ListRefused, Parsed

EVERYTHING = {Family.IPV4: ip_network("0.0.0.0/0"), Family.IPV6: ip_network("::/0")}
FORMATS: tuple[Format, ...] = (
    Plain(),
    SpamhausDrop(),
    CsvFormat("ip"),
    CsvFormat(2, 1, ";", header=False),
    *(
        CsvFormat(1, charset=charset)
        for charset in ("cp932", "shift_jis", "euc_jp", "iso2022_jp", "utf-16", "utf-8-sig", "latin-1")
    ),
    # character sets that raise what others do not
    *(CsvFormat(1, charset=charset, header=False) for charset in ("utf-7", "punycode", "idna", "unicode_escape", "hz")),
)

networks = st.one_of(
    st.builds(lambda value, length: IPv4Network((value >> (32 - length) << (32 - length), length)),
              st.integers(0, (1 << 32) - 1), st.integers(0, 32)),
    st.builds(lambda value, length: IPv6Network((value >> (128 - length) << (128 - length), length)),
              st.integers(1 << 64, (1 << 128) - 1), st.integers(64, 128)),
)  # fmt: skip
# any bytes, and those that get far
fragments = st.sampled_from([
    *(b"192.0.2.1", b"192.0.2.0/24", b"2001:db8::", b"/32", b"\n", b"\r\n", b"\r", b"#", b";", b" ", b",", b'"', b"<a>", b"\0"),
    *(b'{"cidr":"192.0.2.1"}', b'{"type":"metadata","records":1}', b"{", b"}", b'"cidr"', b":", b"[", b"ip,len\n"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x8f\xa0", b"\x1b$B", b"\x1f\x8b", gzip.compress(b"192.0.2.1\n")),
    *(b"\\ud800", b"xn--", b"+AAA-", b"1" * 70_000),
])  # fmt: skip
anything = st.one_of(st.binary(max_size=80), st.lists(fragments, max_size=9).map(b"".join))


def read(format: Format, raw: bytes, *, show: bool = True) -> Parsed:  # noqa: A002
    return parse(format, io.BytesIO(raw), show=show)


def entries_of(parsed: Parsed) -> list[tuple[int, str]]:
    found = []
    for family, entries in parsed.entries.items():
        for network, length, line in entries.meeting(EVERYTHING[family]):
            found.append((line, f"{family.address(network)}/{length}"))
    return sorted(found)


@given(st.lists(networks, max_size=20), st.sampled_from(["\n", "\r\n", "  # x\n", "\n\n", "\n; y\n"]), st.booleans())
def test_a_plain_list_is_read_as_it_was_written(wanted: list[IPv4Network | IPv6Network], end: str, packed: bool) -> None:
    raw = "".join(f"{each}{end}" for each in wanted).encode()
    parsed = read(Plain(), gzip.compress(raw) if packed else raw)
    step = end.count("\n")
    assert entries_of(parsed) == [(1 + place * step, str(each)) for place, each in enumerate(wanted)]
    assert (parsed.count, parsed.bad_count) == (len(wanted), 0)


@given(st.lists(networks, max_size=20))
def test_a_drop_list_is_read_as_it_was_written(wanted: list[IPv4Network | IPv6Network]) -> None:
    lines = [json.dumps({"cidr": str(each), "sblid": "SBL1", "rir": "arin"}) for each in wanted]
    raw = "\n".join((*lines, json.dumps({"type": "metadata", "timestamp": 1, "records": len(wanted)})))
    assert entries_of(read(SpamhausDrop(), raw.encode())) == [(place, str(each)) for place, each in enumerate(wanted, 1)]


@given(
    st.lists(st.tuples(networks, st.text('ab",;\n迷惑 ', max_size=6)), max_size=20),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
)
def test_columns_are_read_as_they_were_written(
    wanted: list[tuple[IPv4Network | IPv6Network, str]], delimiter: str, in_two: bool
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(["note", "len", "ip"])
    lines = []
    for network, note in wanted:
        lines.append(1 + file.getvalue().count("\n"))
        address = network.network_address if in_two else network
        writer.writerow([note, network.prefixlen, address])
    settings = CsvFormat("ip", "len" if in_two else None, delimiter, "euc_jp")
    assert entries_of(read(settings, file.getvalue().encode("euc_jp"))) == [
        (line, str(network)) for line, (network, _) in zip(lines, wanted, strict=True)
    ]


def test_a_long_list_is_read_as_it_was_written() -> None:
    chance = random.Random(7)
    wanted = ["# a header", ""]
    for place in range(60_000):
        length = chance.choice((32, 24, 128)) if place > 40_000 else 32
        if length == 128:
            wanted.append(str(IPv6Network((chance.getrandbits(127) | 1 << 127, 128))))
        else:
            wanted.append(str(IPv4Network((chance.getrandbits(length) << (32 - length), length))))
        wanted[-1] += " # x" if place % 5000 == 0 else ""
    wanted[50_000] = "nonsense"
    parsed = read(Plain(), "\n".join(wanted).encode())
    expected = [(line, text.partition(" ")[0]) for line, text in enumerate(wanted, 1) if text[:1] not in {"", "#", "n"}]
    assert entries_of(parsed) == expected
    assert [str(bad) for bad in parsed.bad] == ["line 50001: not an address or a prefix: 'nonsense'"]


@given(anything, st.sampled_from(FORMATS), st.booleans(), st.integers(0, 100_000))
def test_any_bytes_come_to_a_list_or_to_a_refusal(raw: bytes, wanted: Format, show: bool, largest: int) -> None:
    refused = None
    try:
        parsed = parse(wanted, io.BytesIO(raw), show=show, largest=largest)
        assert parsed.sha256 == hashlib.sha256(raw).hexdigest()
        assert parsed.count == sum(map(len, parsed.entries.values())) == len(entries_of(parsed))
        assert set(parsed.entries) == set(Family)
        judge(parsed, Limits(), (), None, show=show)
    except ListRefused as error:
        refused = error
    assert refused is None or str(refused).isprintable()


@given(st.lists(st.text("ghijkzGHZ -./:%[]", min_size=1, max_size=6), min_size=1, max_size=4), st.sampled_from(FORMATS[:4]))
def test_what_is_said_of_a_confidential_list_holds_nothing_of_it(words: list[str], wanted: Format) -> None:
    """Every letter of the file is replaced by another: what is said without `show` stays the same."""
    said = []
    for shift in (0, 1):
        shifted = [
            "".join("ghijkzGHZ"[("ghijkzGHZ".index(s) + 3 * shift) % 9] if s.isalpha() else s for s in word) for word in words
        ]
        raw = "\n".join(("ip", "192.0.2.1", *shifted)).encode()
        try:
            parsed = read(wanted, raw, show=False)
            said.append([str(bad) for bad in parsed.bad])
        except ListRefused as refused:
            said.append([str(refused)])
    assert said[0] == said[1]


@pytest.mark.parametrize("settings", [
    *({"charset": charset} for charset in ("no-such-set", "base64", "rot13")),
    *({"delimiter": delimiter} for delimiter in ("", ",,", '"', "\n")),
    {"address": "ip", "header": False}, {"address": 0}, {"prefix_length": 0}, {"prefix_length": "len", "header": False},
])  # fmt: skip
def test_settings_that_no_file_can_fit_are_the_callers_mistake(settings: dict[str, object]) -> None:
    with pytest.raises((ValueError, LookupError)):
        CsvFormat(**{"address": 1, **settings})  # type: ignore[arg-type]


def test_the_bound_is_of_bytes_packed_and_unpacked() -> None:
    raw = b"192.0.2.1\n" * 100
    assert parse(Plain(), io.BytesIO(raw), show=True, largest=1000).count == 100
    for each in (raw + b"\n", gzip.compress(raw + b"\n")):
        with pytest.raises(ListRefused, match=r"^larger than 1000 bytes"):
            parse(Plain(), io.BytesIO(each), show=True, largest=1000)
