"""Blocks of whole lines: every line once, with its number, in any character set and however the chunks are cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.lines import LONGEST_LINE, blocks
from edged.sources.parsed import ListRefused, Reason

CHARSETS = ("utf-8", "cp932", "shift_jis", "euc_jp", "iso2022_jp", "utf-16", "utf-16-be", "utf-32")


def pieces(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[place : place + size] for place in range(0, len(raw), size))


def numbered(raw: bytes, charset: str = "utf-8", size: int = 1 << 18) -> list[tuple[int, str]]:
    found = []
    for block in blocks(pieces(raw, size), charset):
        assert block.text.endswith("\n")
        found += list(enumerate(block.text.split("\n")[:-1], block.first))
    return found


def refused(raw: bytes, charset: str = "utf-8", size: int = 1 << 18) -> tuple[int | None, str]:
    with pytest.raises(ListRefused) as raised:
        numbered(raw, charset, size)
    assert raised.value.reason is Reason.NOT_A_LIST
    return raised.value.line, str(raised.value)


@given(st.lists(st.text("ab#迷惑ソ能 ", max_size=8), max_size=12), st.sampled_from(CHARSETS), st.integers(1, 9), st.booleans())
def test_every_line_comes_once_with_its_number(lines: list[str], charset: str, size: int, crlf: bool) -> None:
    ends = "\r\n" if crlf else "\n"
    raw = "".join(f"{line}{ends}" for line in lines).encode(charset)
    assert numbered(raw, charset, size) == list(enumerate(lines, 1))


def test_lines_are_numbered_on_over_blocks() -> None:
    lines = [str(number) for number in range(200_000)]
    assert numbered("\n".join(lines).encode(), size=1000) == list(enumerate(lines, 1))


def test_only_line_feeds_end_lines() -> None:
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f"
    assert numbered(text.encode()) == [(1, text)]


@pytest.mark.parametrize("charset", ["utf-8", "cp932", "euc_jp", "utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_a_wrong_byte_is_told_by_its_line(charset: str, size: int) -> None:
    wrong = b"\x00\xdc\x00\x00" if charset in {"utf-16-le", "utf-16"} else b"\xdc\x00\x00\x00" if "16" in charset else b"\x81\x20"
    good = "迷惑\n".encode(charset) * 4 if charset != "utf-16" else ("迷惑\n" * 4).encode(charset)
    line, message = refused(good + wrong, charset, size)
    assert (line, message) == (5, f"line 5 is not {charset.upper()}")


@pytest.mark.parametrize("size", [1, 1000, 1 << 18])
def test_a_line_that_is_cut_inside_of_a_character_is_told(size: int) -> None:
    assert refused("192.0.2.1\n# 迷".encode()[:-1], size=size) == (2, "line 2 is not UTF-8")


@pytest.mark.parametrize("size", [1000, 1 << 18])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_is_at_most_64_kib(size: int, end: bytes) -> None:
    assert numbered(b"x\n" + b"y" * LONGEST_LINE + end, size=size)[1] == (2, "y" * LONGEST_LINE)
    message = "line 2 is longer than 64 KiB; this is not a list of addresses"
    assert refused(b"x\n" + b"y" * (LONGEST_LINE + 1) + end, size=size) == (2, message)


def test_a_line_that_never_ends_is_refused_before_it_is_read() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * (1 << 17)
        raise AssertionError("read on")

    with pytest.raises(ListRefused, match=r"^line 1 is longer than 64 KiB"):
        list(blocks(chunks(), "utf-8"))


@pytest.mark.parametrize("size", [1, 2, 1000])
@pytest.mark.parametrize("raw", [b"a\r\nb\rc\n", b"a\r\n\r\r\n"])
def test_a_carriage_return_alone_is_refused(raw: bytes, size: int) -> None:
    line, message = refused(raw, size=size)
    assert line == 2
    assert message.startswith("line 2 holds a carriage return that no line feed follows")


def test_a_line_feed_may_be_missing_at_the_end() -> None:
    assert numbered(b"a\r\nb\r") == [(1, "a"), (2, "b")]


def test_a_long_file_of_an_old_mac_is_told_as_such() -> None:
    assert refused(b"192.0.2.1\r" * 100_000)[1].startswith("line 1 holds a carriage return")


def test_a_carriage_return_at_the_end_of_a_chunk_waits_for_its_line_feed() -> None:
    line = b"x" * (LONGEST_LINE - 1)
    raw = line + b"\r\n" + b"y" * 10
    assert [text for _, text in numbered(raw, size=LONGEST_LINE)] == [line.decode(), "y" * 10]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_marks_and_nul_bytes_are_refused(size: int) -> None:
    assert refused(b"a\nb\0\n", size=size) == (2, "line 2 holds a NUL byte; this is not a list of addresses")
    bom = "line 1 begins with a byte order mark; save the list as UTF-8 without BOM"
    assert refused(b"\xef\xbb\xbfa\n", size=size) == (1, bom)
    assert refused("a\n".encode("utf-16"), size=size)[1] in {"line 1 is UTF-16; save the list as UTF-8", "line 1 is not UTF-8"}


def test_a_mark_that_the_character_set_expects_is_no_text() -> None:
    assert numbered(b"\xef\xbb\xbfa\n", "utf-8-sig") == [(1, "a")]
    assert numbered("a\n".encode("utf-16"), "utf-16") == [(1, "a")]


@pytest.mark.parametrize("raw", [b"<html>\n", b"\n \n\t<?xml\n", b"\n" * 70_000 + b"<a\n"])
def test_what_begins_as_a_page_is_none(raw: bytes) -> None:
    line = raw.count(b"\n")
    assert refused(raw) == (line, f"line {line}: an HTML page, not a list")


def test_nothing_is_no_block() -> None:
    assert list(blocks([], "utf-8")) == []
