"""RFC 4180 a line at a time: what a writer writes is read back, and each field has its place."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.records import BadRecord, Field, fields, texts

words = st.text(st.sampled_from('ab",; \té'), max_size=6)


@given(st.lists(words, min_size=1, max_size=4), st.booleans())
def test_what_the_standard_library_writes_is_read_back(record: list[str], quotes_all: bool) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL, lineterminator="").writerow(record)
    line = written.getvalue()
    # blanks around a field are no part of it unless they are quoted
    expected = record if quotes_all else [each if quoted(each) else each.strip(" \t") for each in record]
    assert texts(line) == expected
    assert [field.text for field in fields(line)] == expected


@given(st.text(st.sampled_from('a,"'), max_size=12))
def test_the_short_ways_read_what_the_long_one_does(line: str) -> None:
    try:
        expected = [field.text for field in fields(line)]
    except BadRecord:
        with pytest.raises(BadRecord):
            texts(line)
    else:
        assert texts(line) == expected


def quoted(text: str) -> bool:
    return any(sign in text for sign in ',"')


@given(st.lists(st.text(st.sampled_from("ab \t"), max_size=5), min_size=1, max_size=4))
def test_a_field_is_where_it_is_said_to_be(record: list[str]) -> None:
    line = ",".join(record)
    for field in fields(line):
        assert line[field.column - 1 :].startswith(field.text)
    assert [field.text for field in fields(line)] == texts(line)


def test_blanks_around_quotation_marks_are_no_part_of_the_field() -> None:
    assert fields(' "a, ""b""" ,  c') == (Field('a, "b"', 3), Field("c", 16))


@pytest.mark.parametrize(
    ("line", "column"), [('a,"b', 3), ('a,b"c,d', 4), ('"a"b,c', 1), ('"', 1), ('"a""', 1), ('"a","b"",c', 5), ('a b "c"', 5)]
)
def test_marks_that_do_not_pair_are_refused_where_they_begin(line: str, column: int) -> None:
    with pytest.raises(BadRecord, match="quotation marks that do not pair") as raised:
        texts(line)
    assert raised.value.column == column


def test_a_mark_left_open_in_a_long_line_is_found_at_once() -> None:
    with pytest.raises(BadRecord):
        fields('"' + 'a""' * 100_000)
