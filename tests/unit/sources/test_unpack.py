"""The bytes of a file: gzip members, bounds, and the digest of what was read."""

from __future__ import annotations

import gzip
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.parsed import ListRefused, Reason
from edged.sources.unpack import Unpacked


class Dripping(io.BytesIO):
    """Gives a byte at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 1, 1))


class Failing(io.BytesIO):
    """A disk that fails behind its first bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(size)


def content(raw: bytes, largest: int = 1 << 20) -> bytes:
    return b"".join(Unpacked(io.BytesIO(raw), largest).chunks())


def refused(raw: bytes, largest: int = 1 << 20) -> str:
    with pytest.raises(ListRefused) as raised:
        content(raw, largest)
    assert raised.value.reason is Reason.UNREADABLE
    return str(raised.value)


@given(st.binary(max_size=100))
def test_what_is_not_packed_comes_as_it_is(raw: bytes) -> None:
    assert content(b"1" + raw) == b"1" + raw


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=4))
def test_all_members_of_a_gzip_file_come_one_after_the_other(parts: list[bytes]) -> None:
    assert content(b"".join(map(gzip.compress, parts))) == b"".join(parts)


@pytest.mark.parametrize("zeros", [1, 511, 100_000])
def test_zeros_behind_a_gzip_file_are_padding(zeros: int) -> None:
    assert content(gzip.compress(b"192.0.2.1\n") + bytes(zeros)) == b"192.0.2.1\n"


def test_zeros_between_members_are_padding() -> None:
    packed = gzip.compress(b"192.0.2.1\n")
    assert content(packed + bytes(50_000) + packed) == b"192.0.2.1\n" * 2


@pytest.mark.parametrize("raw", [b"192.0.2.1\n", gzip.compress(b"192.0.2.1\n", mtime=0), b"", b"1"])
def test_a_file_that_gives_a_byte_at_a_time_is_read_whole(raw: bytes) -> None:
    unpacked = Unpacked(Dripping(raw), 1 << 20)
    assert b"".join(unpacked.chunks()) == content(raw)
    assert unpacked.sha256 == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("raw", [b"", b"192.0.2.1\n" * 100_000, gzip.compress(b"192.0.2.1\n", mtime=0) + bytes(100_000)])
def test_the_digest_is_of_the_file_as_it_was_read(raw: bytes) -> None:
    unpacked = Unpacked(io.BytesIO(raw), 1 << 20)
    assert all(0 < len(chunk) <= 256 << 10 for chunk in unpacked.chunks())
    assert unpacked.sha256 == hashlib.sha256(raw).hexdigest()


@given(st.data())
def test_a_gzip_file_that_was_cut_off_is_refused(data: st.DataObject) -> None:
    packed = gzip.compress(b"192.0.2.1\n192.0.2.2\n")
    kept = data.draw(st.integers(2, len(packed) - 1))
    assert refused(packed[:kept]) == "the gzip file ends in the middle"


@pytest.mark.parametrize(
    ("raw", "largest", "message"),
    [
        (b"x" * 1025, 1024, "larger than 1 KiB"),
        (b"x" * 101, 100, "larger than 100 bytes"),
        (b"x", 0, "larger than 0 bytes"),
        (gzip.compress(b"x" * 2049, mtime=0), 2048, "larger than 2 KiB, unpacked"),
        (gzip.compress(bytes(3 << 20), mtime=0), 2 << 20, "larger than 2 MiB, unpacked"),
        (gzip.compress(b"", mtime=0) * 100, 1024, "larger than 1 KiB"),
    ],
)
def test_what_is_larger_than_the_bound_is_refused(raw: bytes, largest: int, message: str) -> None:
    assert refused(raw, largest) == message


def test_what_is_as_large_as_the_bound_is_read() -> None:
    assert content(b"x" * 1024, 1024) == b"x" * 1024
    assert content(gzip.compress(b"x" * 1024), 1024) == b"x" * 1024


def test_a_file_that_cannot_be_read_says_why() -> None:
    with pytest.raises(ListRefused, match=r"^cannot be read: Input/output error$") as raised:
        b"".join(Unpacked(Failing(b"192.0.2.1\n"), 1 << 20).chunks())
    assert raised.value.reason is Reason.UNREADABLE
