"""The name in a QUIC client's opening, whatever its version and however its ClientHello is cut up."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import permutations

import pytest

from edged.inspect.names.answers import LONGEST, NEED_MORE, Hello
from edged.inspect.names.quic import MOST_DATAGRAMS, NOT_QUIC, InitialHello, may_be_opening
from tests.unit.inspect.names.hellos import ALPN, big, client_hello, named, server_name
from tests.unit.inspect.names.initials import CONNECTION_ID, V1, V2, VERSIONS, crypto, initial, long_header, varint

FOUND = Hello("www.example.com", has_ech=False)
OTHER = b"www.example.net"
SERVER_ID = bytes(range(20))
# RFC 9001 appendix A.4 and RFC 9369 appendix A.4
RETRY = bytes.fromhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
RETRY_V2 = bytes.fromhex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6")
RETRY_ID = bytes.fromhex("f067a5502a4262b5")


def answers(*datagrams: bytes) -> list[object]:
    reader = InitialHello()
    return [reader.take(datagram) for datagram in datagrams]


def cut(handshake: bytes, size: int) -> list[bytes]:
    return [crypto(at, handshake[at : at + size]) for at in range(0, len(handshake), size)]


@pytest.mark.parametrize("version", list(VERSIONS), ids=hex)
def test_every_version_that_is_known(version: int) -> None:
    assert answers(initial(crypto(0, named()), version=version, size=1200)) == [FOUND]


@pytest.mark.parametrize("version", [0, 2, 0xFF00_0016, 0xFF00_0023, 0x5130_3436, 0xFACE_B003], ids=hex)
def test_a_version_that_is_not_known_is_refused_at_once(version: int) -> None:
    packet = initial(crypto(0, named()), size=1200)
    datagram = packet[:1] + version.to_bytes(4, "big") + packet[5:]
    assert not may_be_opening(datagram)
    assert answers(datagram) == [NOT_QUIC]


def test_a_client_that_asks_for_the_servers_versions_opens_again() -> None:
    packet = initial(crypto(0, named()), size=1200)
    assert answers(packet[:1] + b"\x1a\x2a\x3a\x4a" + packet[5:], packet) == [NEED_MORE, FOUND]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\xc0",
        b"\x40" + bytes(1199),
        b"\x16\xfe\xff" + bytes(60),
        b"\0\1\0\0\x21\x12\xa4\x42",
        b"\xc0\x1a\x2a\x3a\x4a" + bytes(99),
    ],
)
def test_other_datagrams_are_refused_at_once(datagram: bytes) -> None:
    assert answers(datagram) == [NOT_QUIC]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_hello_over_three_datagrams_in_any_order(order: tuple[int, ...]) -> None:
    frames = cut(big(), 600)
    assert len(frames) == 3
    datagrams = [initial(frames[place], number=place, size=1200) for place in order]
    assert answers(datagrams[0], *datagrams) == [NEED_MORE, NEED_MORE, NEED_MORE, FOUND]


@pytest.mark.parametrize("size", [1400, 536, 64, 1])
def test_pieces_of_any_size_swapped_and_repeated(size: int) -> None:
    chance = random.Random(size)
    pieces = cut(named() if size == 1 else big(), size)
    pieces += chance.sample(pieces, len(pieces) // 2)
    chance.shuffle(pieces)
    third = len(pieces) // 3 + 1
    datagrams = [initial(b"".join(pieces[at : at + third])) for at in range(0, len(pieces), third)]
    *before, last = answers(*datagrams)
    assert last == FOUND
    assert set(before) <= {NEED_MORE, FOUND}


def test_a_piece_that_never_comes_leaves_no_name() -> None:
    pieces = cut(named(), 16)
    assert answers(*(initial(piece) for piece in pieces[:2] + pieces[3:])) == [NEED_MORE] * (len(pieces) - 1)


@pytest.mark.parametrize("overlap", [0, 1, 40, 59])
def test_of_bytes_that_come_twice_the_first_copy_stays(overlap: int) -> None:
    first, second = named(), named(OTHER)
    middle = len(first) // 2
    late = crypto(middle - overlap, second[middle - overlap :])
    assert answers(initial(crypto(middle, first[middle:])), initial(late), initial(crypto(0, first[:middle]))) == [
        *(NEED_MORE, NEED_MORE),
        FOUND,
    ]


def test_a_copy_fills_no_more_than_the_holes() -> None:
    first, second = named(), named(OTHER)
    islands = b"".join(crypto(at, first[at : at + 3]) for at in range(0, len(first), 6))
    expected = bytearray(second)
    for at in range(0, len(first), 6):
        expected[at : at + 3] = first[at : at + 3]
    found = answers(initial(islands), initial(crypto(0, second)))
    assert found == [NEED_MORE, answers(initial(crypto(0, bytes(expected))))[0]]


@pytest.mark.parametrize(
    "between",
    [
        *(bytes(300), b"\1\1\1", b"\x02\x05\0\0\0", b"\x02\x40\xff\x80\0\0\x01\x02\1\1\1\1\1", b"\x03\x05\0\0\0\1\2\3"),
        *(crypto(5, b""), b"\0\1\0\x02\x05\0\0\0\1"),
    ],
)
def test_frames_that_may_stand_between(between: bytes) -> None:
    frames = cut(named(), 50)
    assert answers(initial(between.join([b"", *reversed(frames), b""]))) == [FOUND]


@pytest.mark.parametrize(
    "before",
    [b"\x1c\0\0\0", b"\x08\0", b"\x30\0", b"\x02\x05\0\x7f\0", b"\x06\0\x7f", b"\x06", b"\x06\x40", b"\x02\x05\0" + b"\xff" * 8],
)
def test_behind_a_frame_that_cannot_be_there_nothing_is_read(before: bytes) -> None:
    assert answers(initial(before + crypto(0, named())[:60])) == [NEED_MORE]


def test_so_many_frames_of_a_packet_are_read() -> None:
    assert answers(initial(b"\1" * 511 + crypto(0, named()))) == [FOUND]
    assert answers(initial(b"\1" * 512 + crypto(0, named()))) == [NEED_MORE]


def test_a_later_initial_may_go_to_the_id_that_the_server_chose() -> None:
    one, two, three = cut(big(), 600)
    assert answers(
        initial(one),
        initial(two, number=1, destination=SERVER_ID, keys_of=CONNECTION_ID),
        initial(three, number=2, destination=b"", keys_of=CONNECTION_ID),
    ) == [NEED_MORE, NEED_MORE, FOUND]


def test_an_initial_of_another_connection_is_not_mixed_with_the_first() -> None:
    one, two, _ = cut(big(), 600)
    *_, rest = cut(big(OTHER), 1200)
    begins_anew = [initial(one), initial(two, number=1), initial(rest, destination=SERVER_ID)]
    assert answers(*begins_anew) == [NEED_MORE] * 3
    whole = crypto(0, big(OTHER)[:1200])
    assert answers(*begins_anew, initial(whole, destination=SERVER_ID)) == [NEED_MORE] * 3 + [
        Hello(OTHER.decode(), has_ech=False)
    ]


@pytest.mark.parametrize("is_seen", [True, False])
@pytest.mark.parametrize(("version", "retry"), [(V1, RETRY), (V2, RETRY_V2)], ids=["v1", "v2"])
def test_after_a_retry_the_client_begins_afresh(version: int, retry: bytes, is_seen: bool) -> None:
    one, two, three = cut(big(), 600)
    reader = InitialHello()
    assert reader.take(initial(one, version=version)) == NEED_MORE
    if is_seen:
        reader.retry(retry)
        assert reader.held == 0
    again = [
        initial(frame, version=version, number=number + 1, destination=RETRY_ID, token=b"token")
        for number, frame in enumerate((two, three, one))
    ]
    assert [reader.take(datagram) for datagram in again] == [NEED_MORE, NEED_MORE, FOUND]


@pytest.mark.parametrize(
    "datagram", [b"", b"\xff", initial(crypto(0, named())), RETRY_V2[:1] + RETRY[1:5], b"\xff" + RETRY_V2[1:]]
)
def test_what_is_no_retry_changes_nothing(datagram: bytes) -> None:
    one, two, three = cut(big(), 600)
    reader = InitialHello()
    reader.take(initial(one))
    reader.retry(datagram)
    reader.take(initial(two, number=1))
    assert reader.take(initial(three, number=2)) == FOUND


def test_packets_in_one_datagram() -> None:
    one, two, three = (initial(frame, number=number) for number, frame in enumerate(cut(big(), 600)))
    early = long_header(1, bytes(50))
    assert answers(one + early + two + three) == [FOUND]
    assert answers(early, one + b"\x40" + bytes(30), two + bytes(9), early + three) == [NEED_MORE, NEED_MORE, NEED_MORE, FOUND]


def test_so_many_packets_of_a_datagram_are_read() -> None:
    early, last = long_header(1, bytes(9)), initial(crypto(0, named()))
    assert answers(early * 3 + last) == [FOUND]
    assert answers(early * 4 + last) == [NEED_MORE]


def test_a_connection_id_has_so_many_bytes() -> None:
    assert answers(initial(crypto(0, named()), destination=bytes(20))) == [FOUND]
    assert answers(initial(crypto(0, named()), destination=bytes(21))) == [NEED_MORE]


def test_a_client_that_goes_on_in_another_version_begins_afresh() -> None:
    half, whole = crypto(0, named(OTHER)[:60]), crypto(0, named())
    assert answers(initial(half), initial(whole, version=V2)) == [NEED_MORE, FOUND]


def test_a_packet_for_another_id_than_the_datagrams_first_is_not_read() -> None:
    stranger = initial(crypto(0, named()), destination=SERVER_ID)
    assert answers(long_header(1, bytes(30)) + stranger, stranger) == [NEED_MORE, FOUND]


def test_a_forged_packet_in_front_does_not_hide_the_true_one() -> None:
    true = initial(crypto(0, named()), size=1200)
    forged = initial(crypto(0, named(OTHER)), destination=SERVER_ID, size=1200)
    assert answers(forged[:-1] + bytes([forged[-1] ^ 1]), true) == [NEED_MORE, FOUND]


@pytest.mark.parametrize("length", [*range(0, 60, 7), 600, 1199])
def test_a_datagram_that_was_cut_gives_no_name(length: int) -> None:
    assert answers(initial(crypto(0, named()), size=1200)[:length])[0] in (NEED_MORE, NOT_QUIC)


def test_what_is_no_client_hello_is_refused() -> None:
    assert answers(initial(crypto(0, b"\2" + named()[1:]))) == [NOT_QUIC]


def test_a_hello_without_a_name_is_told_as_such() -> None:
    assert answers(initial(crypto(0, client_hello(ALPN)))) == [Hello(None, has_ech=False)]
    assert answers(initial(crypto(0, client_hello(server_name(b"server4:443"))))) == [Hello("server4", has_ech=False)]


def test_so_many_datagrams_are_taken() -> None:
    waiting = [initial(b"\1", number=number) for number in range(MOST_DATAGRAMS)]
    last = initial(crypto(0, named()), number=99)
    assert answers(*waiting[1:], last) == [NEED_MORE] * (MOST_DATAGRAMS - 1) + [FOUND]
    assert answers(*waiting, last) == [NEED_MORE] * MOST_DATAGRAMS + [NOT_QUIC]


def test_what_is_held_is_bounded() -> None:
    reader = InitialHello()
    for at in (LONGEST - 5, LONGEST - 4, 1 << 20, (1 << 62) - 6):
        reader.take(initial(b"\x06" + varint(at) + b"\5hello"))
    assert reader.held == 2 * LONGEST


def test_cryptography_is_imported_for_an_initial_packet_alone() -> None:
    code = (
        "import sys; from edged.inspect.names.quic import InitialHello; InitialHello().take(b'\\x40');"
        "sys.exit(any(name.partition('.')[0] == 'cryptography' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
