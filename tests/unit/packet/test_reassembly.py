"""Fragments to packets, as conntrack does it: order, overlaps, clocks, bounds, and what is never put together."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.packet.pieces import Fit, Pieces
from edged.packet.reassembly import SECOND, Discarded, Kept, Passed, Reason, Reassembler, Taken, Whole
from tests.unit.packet.frames import decoded, ethernet, fragment_header, ipv4, ipv6, tcp

FRAGMENT, TCP, DESTINATION_OPTIONS = 44, 6, 60
BODY = tcp(bytes(range(100)))  # 120 bytes
MORE = 0x2000


def piece4(start: int, end: int, body: bytes = BODY, *, more: bool | None = None, tos: int = 0, identification: int = 7) -> bytes:
    more = end < len(body) if more is None else more
    return ipv4(body[start:end], cut=(MORE if more else 0) | start // 8, tos=tos, identification=identification)


def piece6(
    start: int,
    end: int,
    body: bytes = BODY,
    *,
    more: bool | None = None,
    following: int = TCP,
    identification: int = 7,
    ecn: int = 0,
) -> bytes:
    more = end < len(body) if more is None else more
    head = fragment_header(following, start, more=more, identification=identification)
    return ipv6(head + body[start:end], FRAGMENT, traffic_class=ecn)


PIECES: dict[Family, Callable[..., bytes]] = {Family.IPV4: piece4, Family.IPV6: piece6}
WHOLES = {Family.IPV4: ipv4(BODY), Family.IPV6: ipv6(BODY)}
both = pytest.mark.parametrize("family", list(Family))


def take(reassembler: Reassembler, data: bytes, now: int = 0) -> Taken:
    return reassembler.take(decoded(data), data, now)


def last(datagrams: list[bytes], reassembler: Reassembler | None = None) -> Taken:
    """What became of the last of them, all before it having been kept."""
    reassembler = reassembler or Reassembler()
    for each in datagrams[:-1]:
        assert take(reassembler, each) == Kept()
    return take(reassembler, datagrams[-1])


@both
def test_a_whole_packet_goes_by(family: Family) -> None:
    reassembler = Reassembler()
    assert take(reassembler, WHOLES[family]) == Passed()
    assert (reassembler.waiting, reassembler.never_completed) == (0, 0)


@both
@given(data=st.data())
def test_pieces_in_any_order_make_the_packet_that_was_cut(family: Family, data: st.DataObject) -> None:
    cuts = sorted({0, len(BODY), *(8 * cut for cut in data.draw(st.sets(st.integers(3, 14), min_size=1)))})
    spans = data.draw(st.permutations(list(pairwise(cuts))))
    reassembler = Reassembler()
    assert last([PIECES[family](start, end) for start, end in spans], reassembler) == Whole(WHOLES[family], len(spans))
    assert (reassembler.held, reassembler.waiting, reassembler.never_completed) == (0, 0, 0)


def test_the_headers_are_those_of_the_first_piece() -> None:
    first = ipv4(BODY[:40], options=bytes(8), cut=MORE, tos=0x48)
    found = last([piece4(40, 120), first])
    assert found == Whole(ipv4(BODY, options=bytes(8), tos=0x48), 2)
    option = bytes([FRAGMENT, 0, 1, 4, 0, 0, 0, 0])
    first = ipv6(option + fragment_header(TCP, 0, more=True, identification=7) + BODY[:40], DESTINATION_OPTIONS)
    found = last([piece6(40, 120), first])
    assert found == Whole(ipv6(bytes([TCP]) + option[1:] + BODY, DESTINATION_OPTIONS), 2)


def test_frames_with_a_link_layer_and_padding_are_read() -> None:
    reassembler = Reassembler()
    frames = [ethernet(piece4(0, 24) + bytes(2)), ethernet(piece4(24, 120) + bytes(9))]
    assert reassembler.take(decoded(frames[0], 1), frames[0], 0) == Kept()
    assert reassembler.take(decoded(frames[1], 1), frames[1], 0) == Whole(WHOLES[Family.IPV4], 2)


def test_an_atomic_fragment_of_ipv6_loses_its_header() -> None:
    assert take(Reassembler(), piece6(0, 120)) == Whole(WHOLES[Family.IPV6], 1)


@both
def test_packets_are_told_apart(family: Family) -> None:
    reassembler = Reassembler()
    piece = PIECES[family]
    assert take(reassembler, piece(0, 40)) == Kept()
    assert take(reassembler, piece(40, 120, identification=8)) == Kept()
    assert reassembler.waiting == 2
    assert isinstance(take(reassembler, piece(40, 120)), Whole)
    assert reassembler.waiting == 1


def test_protocols_of_ipv4_are_told_apart_and_those_of_ipv6_are_not() -> None:
    reassembler = Reassembler()
    take(reassembler, piece4(0, 40))
    assert take(reassembler, ipv4(BODY[40:], 17, cut=5)) == Kept()
    assert isinstance(last([piece6(0, 40), piece6(40, 120, following=17)]), Whole)


@both
def test_a_repeated_piece_changes_nothing(family: Family) -> None:
    piece = PIECES[family]
    reassembler = Reassembler()
    for start, end in ((0, 40), (40, 80)):
        assert take(reassembler, piece(start, end)) == Kept()
    held = reassembler.held
    for start, end in ((0, 40), (40, 80), (0, 80), (24, 56)):  # they came one behind the other, so they are one run
        assert take(reassembler, piece(start, end)) == Discarded(Reason.REPEATED)
    assert reassembler.held == held
    assert take(reassembler, piece(80, 120)) == Whole(WHOLES[family], 3)


@both
@pytest.mark.parametrize(
    ("kept", "overlapping"),
    [
        ([(0, 40)], (32, 80)),
        ([(40, 80)], (32, 48)),
        ([(40, 80)], (72, 120)),
        ([(40, 80)], (32, 88)),
        ([(80, 120), (40, 80)], (40, 120)),  # two runs: neither holds it
        ([(80, 96), (0, 32)], (24, 48)),
    ],
)
def test_an_overlap_discards_all_that_came(family: Family, kept: list[tuple[int, int]], overlapping: tuple[int, int]) -> None:
    piece = PIECES[family]
    reassembler = Reassembler()
    assert last([piece(*span) for span in (*kept, overlapping)], reassembler) == Discarded(Reason.OVERLAPS)
    assert (reassembler.held, reassembler.waiting, reassembler.never_completed) == (0, 0, 1)


@both
def test_the_other_bytes_of_an_overlap_are_never_used(family: Family) -> None:
    piece = PIECES[family]
    reassembler = Reassembler()
    take(reassembler, piece(0, 40))
    take(reassembler, piece(32, 80, bytes(120)))
    assert take(reassembler, piece(40, 120)) == Kept()


def test_a_piece_beyond_the_end_discards_the_packet_in_ipv4_and_itself_in_ipv6() -> None:
    for start, end, more in ((120, 128, True), (64, 72, False), (120, 128, False)):
        body = bytes(128)
        reassembler = Reassembler()
        take(reassembler, piece4(80, 120))
        assert take(reassembler, piece4(start, end, body, more=more)) == Discarded(Reason.BEYOND_END)
        assert reassembler.waiting == 0
        reassembler = Reassembler()
        take(reassembler, piece6(80, 120))
        assert take(reassembler, piece6(start, end, body, more=more)) == Discarded(Reason.BEYOND_END)
        assert take(reassembler, piece6(0, 80)) == Whole(WHOLES[Family.IPV6], 2)


def test_a_piece_not_of_eight_bytes_is_trimmed_in_ipv4_and_in_ipv6_let_by() -> None:
    assert last([piece4(0, 45), piece4(40, 120)]) == Whole(WHOLES[Family.IPV4], 2)
    reassembler = Reassembler()
    take(reassembler, piece6(80, 120))
    assert take(reassembler, piece6(0, 45)) == Passed()
    assert (reassembler.waiting, reassembler.never_completed) == (0, 1)


def test_an_empty_piece_discards_the_packet_in_ipv4_and_itself_in_ipv6() -> None:
    reassembler = Reassembler()
    take(reassembler, piece4(0, 40))
    assert take(reassembler, piece4(40, 40)) == Discarded(Reason.EMPTY)
    assert take(reassembler, piece4(0, 7)) == Discarded(Reason.EMPTY)
    assert reassembler.waiting == 0
    reassembler = Reassembler()
    take(reassembler, piece6(0, 40))
    assert take(reassembler, piece6(40, 40)) == Discarded(Reason.EMPTY)
    assert take(reassembler, piece6(40, 120)) == Whole(WHOLES[Family.IPV6], 2)


def test_a_packet_longer_than_a_packet_may_be_is_discarded() -> None:
    large = bytes(65536)
    assert take(Reassembler(), piece6(65528, 65536, large)) == Discarded(Reason.TOO_LONG)
    body = bytes(65520)
    assert last([piece4(0, 40_000, body), piece4(40_000, 65_520, body)]) == Discarded(Reason.TOO_LONG)
    assert isinstance(last([piece6(0, 40_000, body), piece6(40_000, 65_520, body)]), Whole)


def test_ecn_is_joined_as_rfc_3168_says() -> None:
    for first, second, joined in ((1, 3, 3), (2, 3, 3), (3, 3, 3), (0, 0, 0), (2, 2, 2)):
        assert last([piece4(0, 40, tos=first), piece4(40, 120, tos=second)]) == Whole(ipv4(BODY, tos=joined), 2)
        six = last([piece6(0, 40, ecn=first), piece6(40, 120, ecn=second)])
        assert six == Whole(ipv6(BODY, traffic_class=joined), 2)
    for other in (1, 2, 3):
        assert last([piece4(0, 40), piece4(40, 120, tos=other)]) == Discarded(Reason.ECN)
        assert last([piece6(0, 40), piece6(40, 120, ecn=other)]) == Discarded(Reason.ECN)


@pytest.mark.parametrize(("following", "needed"), [(TCP, 20), (17, 8), (58, 8), (50, 1)])
def test_a_first_piece_of_ipv6_that_ends_within_the_upper_header_is_let_by(following: int, needed: int) -> None:
    option = bytes([following, 0, 1, 4, 0, 0, 0, 0])
    for length in (0, 8, 16, 24):
        body = option + bytes(length)
        expected = Kept() if length >= needed else Passed()
        assert take(Reassembler(), piece6(0, len(body), body, more=True, following=DESTINATION_OPTIONS)) == expected
    assert take(Reassembler(), piece6(8, 16)) == Kept()


def test_a_first_piece_that_ends_within_its_extension_headers_is_kept() -> None:
    option = bytes([DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0])
    assert take(Reassembler(), piece6(0, 8, option, more=True, following=DESTINATION_OPTIONS)) == Kept()
    assert take(Reassembler(), piece6(0, 8, bytes(8), more=True, following=59)) == Kept()


def test_a_fragment_header_behind_ah_is_taken_and_one_cut_off_is_not() -> None:
    ah = bytes([FRAGMENT, 2]) + bytes(14)
    head, tail = (fragment_header(TCP, at, more=not at) for at in (0, 40))
    found = last([ipv6(ah + head + BODY[:40], 51), ipv6(ah + tail + BODY[40:], 51)])
    assert found == Whole(ipv6(bytes([TCP]) + ah[1:] + BODY, 51), 2)
    for length in range(1, 8):
        assert take(Reassembler(), ipv6(head[:length], FRAGMENT)) == Discarded(Reason.HEADER_CUT_OFF)


def test_what_linux_drops_or_was_not_captured_is_no_piece() -> None:
    reassembler = Reassembler()
    bad = ipv4(BODY[:40], cut=MORE, wrong_sum=1)
    assert take(reassembler, bad) == Discarded(Reason.DROPPED_BY_STACK)
    whole = piece4(0, 40)
    assert reassembler.take(decoded(whole[:50], on_wire=len(whole)), whole[:50], 0) == Discarded(Reason.SNAPPED)
    assert reassembler.never_completed == 0


@both
def test_a_packet_waits_so_long_from_its_first_piece_on(family: Family) -> None:
    piece, wait = PIECES[family], {Family.IPV4: 30, Family.IPV6: 60}[family] * SECOND
    for late, found in ((wait - 1, Whole(WHOLES[family], 3)), (wait, Kept())):
        reassembler = Reassembler()
        take(reassembler, piece(0, 40), 1000)
        take(reassembler, piece(40, 80), 1000 + wait // 2)
        assert take(reassembler, piece(80, 120), 1000 + late) == found
        assert reassembler.never_completed == (found == Kept()) * 2


def test_a_clock_that_goes_back_ends_what_waits() -> None:
    reassembler = Reassembler()
    take(reassembler, piece4(0, 40), 10**18)
    assert take(reassembler, piece4(40, 120), 10**18 - SECOND) == Whole(WHOLES[Family.IPV4], 2)
    take(reassembler, piece4(0, 40), 10**18)
    assert take(reassembler, piece4(40, 120), 0) == Kept()
    assert reassembler.never_completed == 2


@both
def test_packets_and_bytes_are_bounded(family: Family) -> None:
    piece = PIECES[family]
    reassembler = Reassembler(most_packets=3)
    for identification in range(10):
        expected = Kept() if identification < 3 else Discarded(Reason.FULL)
        assert take(reassembler, piece(0, 40, identification=identification)) == expected
    assert isinstance(take(reassembler, piece(40, 120, identification=2)), Whole)
    reassembler = Reassembler(most_bytes=1000)
    kept = [take(reassembler, piece(0, 40, identification=each)) for each in range(100)].count(Kept())
    assert 0 < kept < 10
    assert reassembler.held <= 1000
    assert take(reassembler, piece(0, 40, identification=99), 61 * SECOND) == Kept()
    assert reassembler.never_completed == kept + 1


def test_pieces_are_placed_as_a_plain_set_of_bytes_would_place_them() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        pieces, have = Pieces(0), set[int]()
        for _ in range(chance.randrange(1, 9)):
            start = 8 * chance.randrange(12)
            span = set(range(start, start + 8 * chance.randrange(1, 5)))
            fit = pieces.take(start, bytes(len(span)))
            if not span & have:
                assert fit is Fit.TAKEN
                have |= span
            elif span <= have:
                assert fit is not Fit.TAKEN
            else:
                assert fit is Fit.OVERLAPS
            assert pieces.held == len(have)


def test_addresses_tell_packets_apart() -> None:
    reassembler = Reassembler()
    take(reassembler, piece4(0, 40))
    other = ipv4(BODY[40:], cut=5, source=str(ip_address("192.0.2.9")))
    assert take(reassembler, other) == Kept()
