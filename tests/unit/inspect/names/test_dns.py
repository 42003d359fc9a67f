"""The name that a DNS message asks for, in datagrams and in streams, of sound messages alone."""

from __future__ import annotations

import struct

import pytest

from edged.inspect.names.answers import NEED_MORE
from edged.inspect.names.dns import NOT_DNS, Message, Messages, message, messages

WWW = b"\3WWW\7Example\3com\0"
ASKS = b"\0\1\0\1"


def dns(*parts: bytes, questions: int = 1, records: tuple[int, int, int] = (0, 0, 0), flags: int = 0x0100) -> bytes:
    return struct.pack("!6H", 0xBEEF, flags, questions, *records) + b"".join(parts)


def record(name: bytes, data: bytes) -> bytes:
    return name + b"\0\1\0\1\0\0\x0e\x10" + struct.pack("!H", len(data)) + data


QUERY = dns(WWW, ASKS)
ANSWER = dns(WWW, ASKS, record(b"\xc0\x0c", b"\xc0\0\2\1"), record(b"\4more\xc0\x10", b""), flags=0x8180, records=(1, 1, 0))
EDNS = dns(WWW, ASKS, b"\0\0\x29\x10\0\0\0\0\0\0\4\0\x0c\0\0", records=(0, 0, 1))


@pytest.mark.parametrize("data", [QUERY, ANSWER, EDNS], ids=["query", "answer", "edns"])
def test_the_name_of_a_sound_message(data: bytes) -> None:
    assert message(data) == Message("www.example.com")


@pytest.mark.parametrize("data", [QUERY, ANSWER, EDNS], ids=["query", "answer", "edns"])
def test_a_message_that_is_cut_or_goes_on_is_not_sound(data: bytes) -> None:
    assert {message(data[:length]) for length in range(len(data))} == {NOT_DNS}
    assert message(data + b"\0") == NOT_DNS


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"\0", "."),
        (b"\1a\0", "a"),
        (b"\4_TcP\5local\0", "_tcp.local"),
        (b"\3a.b\2c\\\0", r"a\.b.c\\"),
        (b"\4a \0\x7f\2\xc3\xa4\0", r"a\032\000\127.\195\164"),
        (b"\4*=!~\0", "*=!~"),
        (b"\x3f" + b"A" * 63 + b"\0", "a" * 63),
        (b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 2 + b"\x3d" + b"a" * 61 + b"\0", ".".join(["a" * 63] * 3 + ["a" * 61])),
    ],
)
def test_names_are_written_as_in_rfc_4343(name: bytes, written: str) -> None:
    assert message(dns(name, ASKS)) == Message(written)


def test_of_several_questions_the_first_one_is_told_and_of_none_nothing() -> None:
    assert message(dns(WWW, ASKS, b"\1a\xc0\x0c", ASKS, questions=2)) == Message("www.example.com")
    assert message(dns(record(WWW, b"\0"), questions=0, records=(1, 0, 0))) == Message(None)


@pytest.mark.parametrize("opcode", range(16))
def test_the_opcodes_that_are_assigned(opcode: int) -> None:
    answer = message(dns(WWW, ASKS, flags=opcode << 11))
    assert answer == (Message("www.example.com") if opcode in (0, 1, 2, 4, 5, 6) else NOT_DNS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        dns(b"\xc0\x0c", ASKS),
        dns(b"\xc0\x00", ASKS),
        dns(b"\1a\xc0\x0c", ASKS),
        dns(b"\x40" + b"a" * 64 + b"\0", ASKS),
        dns(b"\x80\0", ASKS),
        dns(b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 2 + b"\x3e" + b"a" * 62 + b"\0", ASKS),
        dns(WWW, ASKS, questions=2),
        dns(WWW, ASKS, record(b"\xc0\x21", b""), records=(1, 0, 0)),
        dns(WWW, ASKS, record(b"\xff\xff", b""), records=(1, 0, 0)),
        dns(WWW, ASKS, record(b"\0", b"\1\2")[:-1], records=(1, 0, 0)),
        dns(WWW, ASKS, records=(0xFFFF, 0xFFFF, 0xFFFF)),
        b"\x17\x03\x03\0\x40" + bytes(range(64)),
    ],
)
def test_what_is_not_sound(data: bytes) -> None:
    assert message(data) == NOT_DNS


def behind_length(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


OTHER = dns(b"\1b\0", ASKS)
STREAM = behind_length(QUERY) + behind_length(OTHER) + behind_length(ANSWER)
FOUND = (Message("www.example.com"), Message("b"), Message("www.example.com"))


@pytest.mark.parametrize("segment", [1400, 64, 7, 1])
def test_messages_over_segments_of_any_size(segment: int) -> None:
    ends = [2 + len(QUERY), 4 + len(QUERY) + len(OTHER), len(STREAM)]
    for length in range(0, len(STREAM) + segment, segment):
        whole = [end for end in ends if end <= length]
        expected = Messages(FOUND[: len(whole)], whole[-1]) if whole else NEED_MORE
        assert messages(STREAM[:length]) == expected
    assert messages(STREAM) == Messages(FOUND, len(STREAM))


def test_what_was_taken_can_be_dropped() -> None:
    first = messages(STREAM[:60])
    assert isinstance(first, Messages)
    assert first.messages == FOUND[:2]
    assert messages(STREAM[first.size :]) == Messages(FOUND[2:], len(STREAM) - first.size)


def test_behind_a_message_that_is_not_sound_none_is_read() -> None:
    assert messages(behind_length(QUERY) + behind_length(QUERY + b"\0") + STREAM) == Messages(FOUND[:1], 2 + len(QUERY))
    assert messages(behind_length(QUERY + b"\0") + STREAM) == NOT_DNS
    assert messages(behind_length(QUERY) + b"\0\x0b") == Messages(FOUND[:1], 2 + len(QUERY))


@pytest.mark.parametrize("stream", [b"\0\0", b"\0\x0b", b"\0\x0b" + bytes(40)])
def test_a_length_that_no_message_has(stream: bytes) -> None:
    assert messages(stream) == NOT_DNS
