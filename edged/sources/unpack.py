"""The bytes of a list's file a chunk at a time, unpacked where they are gzipped, within a bound."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from edged.sources.parsed import ListRefused, Reason

LARGEST = 512 << 20

_CHUNK = 256 << 10
_PACKED_CHUNK = 16 << 10  # each member's end copies the rest of the chunk, and a member takes but 20 bytes
_GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1
_OTHER_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"BZh91AY&SY": "a bzip2 file",
}
_LONGEST_MAGIC = max(map(len, _OTHER_ARCHIVES))


class Unpacked:
    """What a file holds; `sha256` is of the bytes as they were read, and complete once `chunks` has ended."""

    def __init__(self, file: BinaryIO, largest: int) -> None:
        self._file = file
        self._largest = largest
        self._digest = hashlib.sha256()
        self._raw_size = 0
        self._size = 0

    @property
    def sha256(self) -> str:
        """64 hex digits."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """The content, of which no chunk is empty or longer than 256 KiB. Raises ListRefused."""
        head = self._read(_PACKED_CHUNK)
        while len(head) < _LONGEST_MAGIC and (more := self._read(_PACKED_CHUNK)):
            head += more  # a pipe may give a byte at a time
        for magic, name in _OTHER_ARCHIVES.items():
            if head.startswith(magic):
                raise ListRefused(f"{name}, not a list; only gzip is unpacked", Reason.NOT_A_LIST)
        if head.startswith(_GZIP):
            yield from map(self._counted, self._gunzipped(head))
        else:
            while head:
                yield head
                head = self._read(_CHUNK)

    def _read(self, size: int) -> bytes:
        try:
            raw = self._file.read(size)
        except OSError as error:
            raise ListRefused(f"cannot be read: {error.strerror or error}", Reason.UNREADABLE) from error
        self._digest.update(raw)
        self._raw_size += len(raw)
        self._bound(self._raw_size, "")
        return raw

    def _counted(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        self._bound(self._size, ", unpacked")
        return chunk

    def _bound(self, size: int, how: str) -> None:
        if size > self._largest:
            raise ListRefused(f"larger than {_volume(self._largest)}{how}", Reason.UNREADABLE)

    def _gunzipped(self, packed: bytes) -> Iterator[bytes]:
        """The members of a gzip file, one after the other (RFC 1952, section 2.2)."""
        member = zlib.decompressobj(wbits=31)
        while packed:
            try:
                chunk = member.decompress(packed, _CHUNK)
            except zlib.error as error:
                raise ListRefused("the gzip file is damaged", Reason.UNREADABLE) from error
            if chunk:
                yield chunk
            if not member.eof:
                packed = member.unconsumed_tail or self._read(_PACKED_CHUNK)
                continue
            # zeros may follow, from tapes (gzip(1), CAVEATS); anything else is another member
            packed = member.unused_data.lstrip(b"\0")
            while not packed and (more := self._read(_PACKED_CHUNK)):
                packed = more.lstrip(b"\0")
            if not packed:
                return
            member = zlib.decompressobj(wbits=31)
        raise ListRefused("the gzip file ends in the middle", Reason.UNREADABLE)


def _volume(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"
