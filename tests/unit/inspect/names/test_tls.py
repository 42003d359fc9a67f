"""The name in a ClientHello: whole, cut, spread over records, and where it cannot be relied on."""

from __future__ import annotations

import pytest

from edged.inspect.names.answers import LONGEST, NEED_MORE, Hello
from edged.inspect.names.tls import NOT_TLS, client_hello, opening
from tests.unit.inspect.names.hellos import ALPN, ECH, NAME, big, named, records, server_name, vector
from tests.unit.inspect.names.hellos import client_hello as hello

FOUND = Hello("www.example.com", has_ech=False)


@pytest.mark.parametrize("handshake", [named(), big()], ids=["small", "big"])
@pytest.mark.parametrize("size", [1 << 14, 1400, 200, 7, 1])
def test_the_name_is_found_over_any_number_of_records(handshake: bytes, size: int) -> None:
    assert opening(records(handshake, size)) == FOUND


@pytest.mark.parametrize("size", [1 << 14, 50])
def test_every_shorter_beginning_needs_more(size: int) -> None:
    stream = records(named(), size)
    assert {opening(stream[:length]) for length in range(len(stream))} == {NEED_MORE}


@pytest.mark.parametrize("segment", [1400, 536, 64, 1])
def test_segments_of_any_size_lead_to_the_same_name(segment: int) -> None:
    stream = records(big())
    answers = [opening(stream[:end]) for end in range(segment, len(stream) + segment, segment)]
    assert answers[-1] == FOUND
    assert set(answers[:-1]) == {NEED_MORE}


def test_what_follows_the_hello_does_not_matter() -> None:
    assert opening(records(named()) + b"\x14\x03\x03\0\1\1" + b"\x17\x03\x03\xff") == FOUND
    assert opening(records(named() + b"\x14\0\0\0")) == FOUND


def test_no_single_flipped_bit_outside_the_name_makes_another_name() -> None:
    stream = records(named())
    begin = stream.index(NAME)
    for bit in (bit for bit in range(8 * len(stream)) if not begin <= bit // 8 < begin + len(NAME)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        answer = opening(bytes(flipped))
        assert not isinstance(answer, Hello) or answer.name in ("www.example.com", None), bit


@pytest.mark.parametrize(
    ("extensions", "answer"),
    [
        ((), Hello(None, has_ech=False)),
        ((ALPN,), Hello(None, has_ech=False)),
        ((ECH, server_name(b"public.example")), Hello("public.example", has_ech=True)),
        ((server_name(b"server4:443"),), Hello("server4", has_ech=False)),
        ((server_name(b"a.example."),), Hello("a.example", has_ech=False)),
    ],
)
def test_what_a_hello_tells(extensions: tuple[tuple[int, bytes], ...], answer: Hello) -> None:
    assert client_hello(hello(*extensions)) == answer


@pytest.mark.parametrize(
    "extensions",
    [
        (server_name(b"a.example"), server_name(b"b.example")),
        (server_name(b"a.example"), (0, b"")),
        (server_name(b"a.example", b"b.example"),),
        (server_name(b"a.example", kind=1),),
        (server_name(b""),),
        (server_name(b"a.exam\0ple"),),
        (server_name("ä.example".encode()),),
        ((0, b""),),
        ((0, server_name(b"a.example")[1] + b"\0"),),
        ((0, b"\0\x0c\0\0\x0aa.example"),),
    ],
)
def test_a_name_that_cannot_be_relied_on_is_none(extensions: tuple[tuple[int, bytes], ...]) -> None:
    assert client_hello(hello(*extensions)) == Hello(None, has_ech=False)


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\x16\x03\x05",
        b"\x17\x03\x03\0\x20",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\x40\x01",
        records(b"\x02" + named()[1:]),
        records(named()[:100], 100) + b"\x15\x03\x01\0\2\2\0",
        records(b"\1" + vector(3, bytes(40))),
        records(b"\1\0\x40\0"),
        records(b"\1" + vector(3, b"\x02" + named()[5:])),
        records(b"\1" + vector(3, b"\x03\x03" + bytes(32) + b"\xff" + bytes(40))),
        records(hello(server_name(NAME), behind=b"\0")),
        records(hello(server_name(NAME), behind=b"\0\x63\0\0")),
        records(hello(behind=b"\0\4\0\0\0")),
        records(hello(behind=b"\0\4\0\0\0\1")),
    ],
)
def test_what_is_not_a_clients_beginning(stream: bytes) -> None:
    assert opening(stream) == NOT_TLS


def test_the_longest_hello_that_is_read_and_one_byte_more() -> None:
    room = LONGEST - len(hello(server_name(NAME), (21, b"")))
    longest, longer = (hello(server_name(NAME), (21, bytes(room + more))) for more in (0, 1))
    assert opening(records(longest)) == FOUND
    assert opening(records(longer, 1000)[:20]) == NOT_TLS
