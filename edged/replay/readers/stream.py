"""The bytes of a file, unpacked where they are gzipped, through a window that a reader moves forward.

A file is read, not mapped: one that shrinks under a mapping kills the process (SIGBUS), and a pipe cannot be mapped.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

CHUNK = 256 << 10

_PACKED_CHUNK = 16 << 10  # each member's end copies the rest of the chunk, and a member takes but 20 bytes
_GZIP = b"\x1f\x8b"  # RFC 1952 section 2.3.1


class Stream:
    """A window on the file: `buffer[at:]` is what was read and not yet taken.

    A reader that works in the window itself takes `buffer` and `at`, moves `at`, and calls `fill` when it runs out.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.buffer = b""
        self.at = 0
        self._passed = 0  # bytes of the unpacked file in front of the buffer
        self.trouble = ""  # why there is nothing more, where that is not the file's end
        self._member: zlib._Decompress | None = None
        self._packed = self._read(_PACKED_CHUNK)
        self.is_gzip = self._packed.startswith(_GZIP)
        if self.is_gzip:
            self._member = zlib.decompressobj(wbits=31)

    @property
    def offset(self) -> int:
        """The place of `at` in the unpacked file."""
        return self._passed + self.at

    def fill(self, wanted: int) -> bool:
        """Read until `wanted` bytes are in the window; False where the file has no more, and then all it has is there."""
        parts = [self.buffer[self.at :]]
        size = len(parts[0])
        self._passed += self.at
        self.at = 0
        while size < wanted and (chunk := self._chunk()):
            parts.append(chunk)
            size += len(chunk)
        self.buffer = b"".join(parts)
        return size >= wanted

    def skip(self, count: int) -> bool:
        """Go `count` bytes on without keeping them; False, at the end, where the file has fewer."""
        while count > len(self.buffer) - self.at:
            count -= len(self.buffer) - self.at
            self.at = len(self.buffer)
            if not self.fill(1):
                return False
        self.at += count
        return True

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.trouble = f"it cannot be read on: {error.strerror or error}"
            return b""

    def _chunk(self) -> bytes:
        """Some more of the unpacked file; nothing at its end or where it cannot be unpacked."""
        if not self.is_gzip:
            chunk, self._packed = self._packed or self._read(CHUNK), b""
            return chunk
        while self._member is not None and (self._packed or self._refill()):
            before = self._member.copy()
            try:
                chunk = self._member.decompress(self._packed, CHUNK)
            except zlib.error:
                self._member, self.trouble = None, "the gzip data is damaged"
                return _salvaged(before, self._packed)
            if self._member.eof:
                self._next_member(self._member.unused_data)
            else:
                self._packed = self._member.unconsumed_tail
            if chunk:
                return chunk
        if self._member is not None and not self.trouble:
            self.trouble = "the gzip data ends in the middle"
        return b""

    def _refill(self) -> bool:
        self._packed = self._read(_PACKED_CHUNK)
        return bool(self._packed)

    def _next_member(self, rest: bytes) -> None:
        """Begin the next member (RFC 1952 section 2.2), unless the file ends; zeros may stand in front (gzip(1), CAVEATS)."""
        self._packed = rest.lstrip(b"\0")
        while not self._packed and self._refill():
            self._packed = self._packed.lstrip(b"\0")
        self._member = zlib.decompressobj(wbits=31) if self._packed else None


def _salvaged(member: zlib._Decompress, packed: bytes) -> bytes:
    """What can be unpacked in front of the damage, which a call that meets it keeps to itself."""
    parts = []
    try:
        for at in range(len(packed)):
            parts.append(member.decompress(packed[at : at + 1]))
    except zlib.error:
        pass
    return b"".join(parts)
