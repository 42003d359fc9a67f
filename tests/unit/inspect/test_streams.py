from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.streams import APART, MOST_BYTES, MOST_WAITING, REPEATED, Stream

FIRST = 0xFFFF_FFF0  # the numbers wrap soon
TEXT = bytes(range(256)) * 2

spans = st.tuples(st.integers(0, 500), st.integers(1, 60)).map(lambda span: (span[0], min(span[0] + span[1], len(TEXT))))


def begun() -> Stream:
    return Stream(FIRST, after_syn=True)


def at(offset: int) -> int:
    return (FIRST + offset) & 0xFFFF_FFFF


def test_segments_in_order_add_up_and_each_tells_where_it_begins() -> None:
    stream = begun()
    assert [stream.take(at(0), b"abc"), stream.take(at(3), b"de")] == [0, 3]
    assert (stream.data, stream.held, stream.is_whole) == (b"abcde", 5, True)


def test_a_segment_that_comes_late_closes_the_hole() -> None:
    stream = begun()
    assert [stream.take(at(3), b"def"), stream.take(at(6), b"gh"), stream.held] == [APART, APART, 5]
    assert stream.take(at(0), b"abc") == 0
    assert (stream.data, stream.held, stream.is_whole) == (b"abcdefgh", 8, True)


def test_of_bytes_that_come_twice_the_first_copy_counts() -> None:
    stream = begun()
    stream.take(at(0), b"abcd")
    assert stream.take(at(0), b"ABCD") == REPEATED
    assert stream.take(at(2), b"CDef") == 4
    stream.take(at(8), b"ij")
    assert stream.take(at(6), b"ghIJkl") == 6
    assert stream.data == b"abcdefghijkl"


@given(st.lists(spans, min_size=1, max_size=MOST_WAITING))
def test_whatever_the_order_and_the_overlaps_the_bytes_are_those_that_came_first(parts: list[tuple[int, int]]) -> None:
    stream = begun()
    came: dict[int, int] = {}
    for index, (begin, end) in enumerate(parts):
        # each copy has bytes of its own, so that the wrong one would show
        segment = bytes((byte + index) & 0xFF for byte in TEXT[begin:end])
        before = stream.data
        place = stream.take(at(begin), segment)
        is_new = any(offset not in came for offset in range(begin, end))
        for offset, byte in zip(range(begin, end), segment, strict=True):
            came.setdefault(offset, byte)
        expected = bytes(came[offset] for offset in range(len(TEXT)) if all(lower in came for lower in range(offset + 1)))
        assert stream.data == expected
        if len(expected) > len(before):
            assert place == len(before)
        else:
            assert place in (APART, REPEATED)
            assert place == APART or not is_new


def test_what_is_beyond_the_bound_is_not_kept() -> None:
    stream = begun()
    stream.take(at(0), bytes(MOST_BYTES - 1))
    assert stream.take(at(MOST_BYTES - 1), b"ab") == MOST_BYTES - 1
    assert stream.take(at(MOST_BYTES + 1), b"c") == APART
    assert (stream.held, stream.data[-2:]) == (MOST_BYTES, b"\0a")


def test_a_hole_too_wide_to_be_filled_begins_the_bytes_anew() -> None:
    stream = begun()
    stream.take(at(0), b"abc")
    assert stream.take(at(100_000), b"HTTP") == 0
    assert (stream.data, stream.is_whole) == (b"HTTP", False)


def test_where_too_many_segments_wait_what_is_missing_is_given_up() -> None:
    stream = begun()
    for number in range(MOST_WAITING):
        assert stream.take(at(10 + 2 * number), b"ab") == APART
    assert stream.take(at(10 + 2 * MOST_WAITING), b"ab") == 0
    assert (stream.data, stream.is_whole, stream.held) == (b"ab" * (MOST_WAITING + 1), False, 2 * MOST_WAITING + 2)


@given(st.lists(st.tuples(st.integers(0, 1 << 32), st.integers(1, 70_000)), max_size=40))
def test_a_direction_never_holds_more_than_its_bounds(segments: list[tuple[int, int]]) -> None:
    stream = Stream(0, after_syn=False)
    for sequence, size in segments:
        stream.take(sequence & 0xFFFF_FFFF, bytes(size))
        assert len(stream.data) <= MOST_BYTES
        assert stream.held <= 2 * MOST_BYTES
