"""Lists in columns: which cell is meant, on which line its record begins, and how long a record may be."""

from __future__ import annotations

import io

import pytest

from edged.addresses import Family
from edged.sources.formats import CsvFormat, parse
from edged.sources.parsed import ListRefused, Parsed

RECORD = 128 << 10


def read(settings: CsvFormat, text: str, *, show: bool = True) -> Parsed:
    return parse(settings, io.BytesIO(text.encode(settings.charset)), show=show)


def lines(parsed: Parsed) -> list[int]:
    return sorted(int(line) for entries in parsed.entries.values() for line in entries.lines)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (CsvFormat("ip"), "id,ip\n1,192.0.2.0/25\n"),
        (CsvFormat(2), "id,ip\n1,192.0.2.0/25\n"),
        (CsvFormat(2, header=False), "\n1,192.0.2.0/25\n"),
        (CsvFormat("ip", "len"), "len,ip\n25,192.0.2.0\n"),
        (CsvFormat("ip", 1), "len,ip\n25,192.0.2.0\n"),
        (CsvFormat("ip", delimiter="\t"), " ip \tid\n 192.0.2.0/25 \t1\n"),
        (CsvFormat("ip", "len", "|"), 'ip|len|more\n"192.0.2.0"| 25 |x\n'),
    ],
)
def test_the_cells_that_are_meant_are_read(settings: CsvFormat, text: str) -> None:
    parsed = read(settings, text)
    entries = parsed.entries[Family.IPV4]
    assert (list(entries.addresses), list(entries.lengths), list(entries.lines)) == ([0xC0000200], [25], [2])
    assert parsed.bad_count == 0


def test_an_entry_is_told_by_the_line_that_its_record_begins_on() -> None:
    parsed = read(CsvFormat("ip"), 'note,ip\n"a\nb\n",192.0.2.1\n\nx,nonsense\n"c\r\nd",192.0.2.2\n')
    assert lines(parsed) == [2, 7]
    assert [str(bad) for bad in parsed.bad] == ["line 6: not an address or a prefix: 'nonsense'"]


def test_only_line_feeds_end_records() -> None:
    parsed = read(CsvFormat("ip"), "note,ip\na\u2028b\x0b\x1c\x85,192.0.2.1\nx,192.0.2.2\n")
    assert lines(parsed) == [2, 3]


def test_a_record_is_at_most_128_kib() -> None:
    line = "x" * 1023 + "\n"
    fitting = 'note,ip\n"' + (line * 128)[: RECORD - len('"",192.0.2.1\n')] + '",192.0.2.1\nx,192.0.2.2\n'
    assert lines(read(CsvFormat("ip"), fitting)) == [2, 130]
    with pytest.raises(ListRefused, match=r"^line 2 begins a record of more than 128 KiB; is a quotation mark left open\?$"):
        read(CsvFormat("ip"), fitting.replace('"x', '"xx', 1))


def test_a_bad_record_is_left_out_and_the_next_one_read() -> None:
    parsed = read(CsvFormat("ip"), 'ip,note\n"192.0.2.1"x,a\n192.0.2.2,b\n192.0.2.3,"c\n')
    assert lines(parsed) == [3]
    assert [str(bad) for bad in parsed.bad] == [f"line {line}: quotation marks that do not pair" for line in (2, 4)]


@pytest.mark.parametrize("header", ["secret-one,secret-two", "ip;secret", "secret"])
def test_the_header_of_a_confidential_list_is_not_shown(header: str) -> None:
    for column, message in (("ip", "no column 'ip'"), (9, f"no column 9; the header has {header.count(',') + 1}")):
        with pytest.raises(ListRefused) as raised:
            read(CsvFormat(column), f"{header}\n192.0.2.1\n", show=False)
        assert str(raised.value) == f"line 1: {message}"
