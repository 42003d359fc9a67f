"""The CRYPTO stream of QUIC Initial packets, put together from frames in any order: RFC 9000 section 19."""

from __future__ import annotations

from edged.inspect.names.answers import LONGEST

_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO = 0, 1, 2, 3, 6
_MOST_FRAMES = 512  # of one packet; a run of padding counts as one


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer (RFC 9000 section 16) and the place behind it, beyond the end of `data` where it is cut."""
    if at >= len(data):
        return 0, at + 1
    first = data[at]
    if first < 0x40:
        return first, at + 1
    behind = at + (1 << (first >> 6))
    return int.from_bytes(data[at:behind], "big") & (1 << 8 * (behind - at) - 2) - 1, behind


class CryptoStream:
    """The bytes of the stream that have come, LONGEST at most; of a byte that comes again the first copy stays."""

    __slots__ = ("_bytes", "_known")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._known = bytearray()  # 1 where the byte in the same place has come

    @property
    def held(self) -> int:
        """Bytes of memory that are held."""
        return len(self._bytes) + len(self._known)

    def beginning(self) -> bytes:
        """The stream up to its first hole."""
        hole = self._known.find(0)
        return bytes(self._bytes if hole < 0 else self._bytes[:hole])

    def take(self, frames: bytes) -> None:
        """Take the CRYPTO frames of a packet, up to the first frame that an Initial packet cannot hold (section 17.2.2)."""
        at, size = 0, len(frames)
        for _ in range(_MOST_FRAMES):
            if at >= size:
                return
            kind = frames[at]
            at += 1
            if kind == _CRYPTO:
                offset, at = varint(frames, at)
                length, at = varint(frames, at)
                if at + length > size:
                    return
                self._put(offset, frames[at : at + length])
                at += length
            elif kind == _PADDING:
                at = size - len(frames[at:].lstrip(b"\0"))
            elif kind in (_ACK, _ACK_ECN):
                at = _behind_ack(frames, at, counts=3 if kind == _ACK_ECN else 0)
            elif kind != _PING:
                return

    def _put(self, offset: int, part: bytes) -> None:
        end = offset + len(part)
        if end > LONGEST:
            return
        if end > len(self._bytes):
            more = bytes(end - len(self._bytes))
            self._bytes += more
            self._known += more
        hole = self._known.find(0, offset, end)
        while hole >= 0:
            stop = self._known.find(1, hole, end)
            stop = end if stop < 0 else stop
            self._bytes[hole:stop] = part[hole - offset : stop - offset]
            self._known[hole:stop] = b"\1" * (stop - hole)
            hole = self._known.find(0, stop, end)


def _behind_ack(frames: bytes, at: int, counts: int) -> int:
    """The place behind an ACK frame's content, with so many ECN counts (section 19.3); the end or beyond where it is cut."""
    _, at = varint(frames, at)
    _, at = varint(frames, at)
    ranges, at = varint(frames, at)
    left = 1 + 2 * ranges + counts
    while left and at < len(frames):
        _, at = varint(frames, at)
        left -= 1
    return at
