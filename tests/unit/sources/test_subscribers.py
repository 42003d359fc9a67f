"""The file of subscribers: what each row comes to, and what is said of wrong ones; whole files stand in tests/broken."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.config.files import LARGEST_TABLE
from edged.sources import subscribers
from edged.sources.gather import MOST_ENTRIES
from edged.sources.subscribers import MOST_PLANS, Mistake, parse
from edged.subscribers import Row

HEADER = "id,prefixes,plan\n"


def rows_of(text: str | bytes, plans: tuple[str, ...] | None = None) -> list[Row]:
    parsing = parse(text.encode() if isinstance(text, str) else text, plans)
    assert parsing.rows is not None, parsing.mistakes
    return [parsing.rows.row(number) for number in range(len(parsing.rows))]


def mistakes_of(text: str | bytes, plans: tuple[str, ...] | None = None) -> tuple[Mistake, ...]:
    parsing = parse(text.encode() if isinstance(text, str) else text, plans)
    assert parsing.rows is None
    return parsing.mistakes


def row(identity: str, line: int, *prefixes: str, plan: str | None = None) -> Row:
    return Row(identity, plan, tuple(map(ip_network, prefixes)), line)


PLAIN = HEADER + "c1,203.0.113.8/30 2001:db8:d::/56,gold\nc2,2001:db8:e::1 203.0.113.1,\n"
READ = [
    row("c1", 2, "203.0.113.8/30", "2001:db8:d::/56", plan="gold"),
    row("c2", 3, "2001:db8:e::1/128", "203.0.113.1/32"),
]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace(",", " , ").replace(" 2001:db8:d", "\t  2001:db8:d"),
        "".join('"' + line.replace(",", '","') + '"\n' for line in PLAIN.splitlines()),
    ],
)
def test_the_same_rows_in_every_spelling_of_the_file(text: str) -> None:
    assert rows_of(text) == READ


def test_comments_and_blank_lines_count_as_lines_and_are_no_rows() -> None:
    found = rows_of("# all of them\n\n" + HEADER + '   \n#c0,203.0.113.1,\n"#1",203.0.113.2,\n')
    assert found == [row("#1", 6, "203.0.113.2/32")]


def test_the_order_of_the_rows_and_of_their_prefixes_is_the_files() -> None:
    texts = ["203.0.113.9/32 198.51.100.0/24 2001:db8:9::/48", "192.0.2.0/25 2001:db8::/128 0.0.0.0/0", "::/0"]
    found = rows_of(HEADER + "".join(f"c{number},{text},\n" for number, text in enumerate(texts)))
    assert [" ".join(map(str, each.prefixes)) for each in found] == texts


def test_packed_columns_hold_each_prefix_by_address() -> None:
    rows = parse((HEADER + "a,203.0.113.9 ::/8,\nb,203.0.113.0/24 1.1.1.1,\nc,203.0.113.0/28,\n").encode(), None).rows
    assert rows is not None
    assert [str(rows.prefix(place)) for place in rows.by_address[Family.IPV4]] == [
        "1.1.1.1/32", "203.0.113.0/24", "203.0.113.0/28", "203.0.113.9/32",
    ]  # fmt: skip
    assert [str(rows.prefix(place)) for place in rows.by_address[Family.IPV6]] == ["::/8"]


def test_plans_are_those_that_are_known() -> None:
    text = HEADER + "a,1.1.1.1,gold\nb,1.1.1.2,\nc,1.1.1.3,Golt\nd,1.1.1.4,zinc\ne,1.1.1.5,zinc\n"
    assert mistakes_of(text, ("business", "gold")) == (
        (4, 11, "plan", "unknown plan 'Golt' (did you mean 'gold'?)"),
        (5, 11, "plan", "unknown plan 'zinc'; known: business, gold"),
        (6, 11, "plan", "unknown plan 'zinc'; known: business, gold"),
    )
    assert mistakes_of(HEADER + "a,1.1.1.1,gold\n", ())[0].message == "unknown plan 'gold'; known: none"
    assert [each.plan for each in rows_of(text)] == ["gold", None, "Golt", "zinc", "zinc"]


def test_a_column_of_something_else_is_no_column_of_plans() -> None:
    text = HEADER + "".join(f"c{number},10.0.{number >> 8}.{number & 255},p{number}\n" for number in range(MOST_PLANS + 1))
    assert mistakes_of(text) == ((MOST_PLANS + 2, 15, "plan", "more than 256 different plans; is this the right column?"),)
    assert len(rows_of(text.rstrip("\n").rpartition("\n")[0])) == MOST_PLANS


def test_a_file_of_nothing_but_mistakes_is_judged_in_a_moment() -> None:
    swapped = HEADER + "".join(f"gold,10.{n >> 16}.{n >> 8 & 255}.{n & 255}/33,some-subscriber-{n}\n" for n in range(30_000))
    long = HEADER + f"c1,{'1.1.1.300 ' * 2_000_000},gold\n"
    began = time.process_time()
    parsing = parse(swapped.encode(), ("business", "gold", "home"))
    assert (len(parsing.mistakes), parsing.untold) == (1_000, 3 * 30_000 - 1 - 1_000)
    assert parse(swapped.encode(), None).untold == 2 * 30_000 - 1 + 1 - 1_000
    assert mistakes_of(long) == ((2, 1, "", "longer than 64 KiB; a subscriber has a few prefixes"),)
    assert time.process_time() - began < 15  # each plan sought anew in all rows would take longer


def test_no_file_that_is_read_has_more_prefixes_than_are_gathered() -> None:
    assert LARGEST_TABLE / len("1 ") < MOST_ENTRIES


def test_the_same_prefix_three_times_is_told_by_the_first_line() -> None:
    text = HEADER + "a,10.0.0.0/8 11.0.0.0/8,\nb,10.0.0.0/9 10.0.0.0/8,\nc,2001:db8::/32 10.0.0.0/8,\nd,2001:db8::/32,\n"
    assert [each[:3] for each in mistakes_of(text)] == [(3, 14, "prefixes"), (4, 17, "prefixes"), (5, 3, "prefixes")]
    assert [each.message for each in mistakes_of(text)] == [
        "10.0.0.0/8 is in line 2 already", "10.0.0.0/8 is in line 2 already", "2001:db8::/32 is in line 4 already",
    ]  # fmt: skip


def test_places_are_those_of_the_text_in_front_of_one() -> None:
    text = HEADER + 'a,"1.1.1.1  1.1.1.300",\n"b, c",   1.1.1.2/33  ,\n'
    assert [each[:3] for each in mistakes_of(text)] == [(2, 13, "prefixes"), (3, 11, "prefixes")]


@pytest.mark.parametrize("bound", [1, 3, 5, 9])
def test_what_is_not_told_is_counted(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "MOST_TOLD", bound)
    parsing = parse((HEADER + "a,1,\n,2,\na,1.1.1.1,x\x00\n").encode(), None)  # two ids, two prefixes, a plan
    assert (len(parsing.mistakes), parsing.untold) == (min(bound, 5), max(5 - bound, 0))


@given(st.text(st.sampled_from('ab1.:/," #\n\r\x00é'), max_size=60), st.booleans())
def test_whatever_the_file_holds_it_is_rows_or_mistakes_with_places(text: str, has_header: bool) -> None:
    raw = ((HEADER if has_header else "") + text).encode()
    parsing = parse(raw, None)
    assert (parsing.rows is None) == bool(parsing.mistakes)
    lines = raw.decode().split("\n")
    for each in parsing.mistakes:
        assert 1 <= each.line <= len(lines)
        assert 1 <= each.column <= len(lines[each.line - 1]) + 1


@given(st.binary(max_size=40))
def test_whatever_bytes_the_file_has_nothing_is_raised(raw: bytes) -> None:
    assert parse(HEADER.encode() + raw, ("gold",)).untold == 0
