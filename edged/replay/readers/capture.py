"""Opening a capture: which format a file is in, by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edged.replay.readers import pcap, pcapng
from edged.replay.readers.record import CaptureUnreadable, Damage, Record
from edged.replay.readers.stream import Stream

_OTHERS = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xfd7zXZ\x00": "an xz file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it first",
    b"\x04\x22\x4d\x18": "an lz4 file: unpack it first",
    b"BZh": "a bzip2 file: unpack it first",
    b"snoop\0\0\0": "a snoop capture: convert it to pcap",
    b"\x1f\x8b": "gzipped twice: unpack it first",
}


class Capture:
    """An open capture file. It is read once, as it is iterated over; what cannot be read ends the iteration, and is `damage`.

    Nothing raises while it is read.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.damage: Damage | None = None
        self._file = file
        self._records = _records(path, Stream(file), self._break)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    @property
    def done(self) -> float:
        """How much of the file was taken from the disk, from 0 to 1; 0 where nobody knows how long it is, as of a pipe."""
        size = os.fstat(self._file.fileno()).st_size
        return min(1.0, self._file.tell() / size) if size else 0.0

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _break(self, damage: Damage) -> None:
        self.damage = damage


def open_capture(path: Path) -> Capture:
    """The capture in a file: pcap or pcapng, gzipped or not. Raises CaptureUnreadable where it is neither."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise CaptureUnreadable(path, error.strerror or str(error)) from error
    try:
        return Capture(path, file)
    except BaseException:
        file.close()
        raise


def _records(path: Path, stream: Stream, tell: Callable[[Damage], None]) -> Iterator[Record]:
    stream.fill(pcap.HEADER)
    head = stream.buffer[: pcap.HEADER]
    if head[:4] in pcap.MAGICS:
        if reason := pcap.refusal(head):
            raise CaptureUnreadable(path, stream.trouble or reason)
        return pcap.records(stream, tell)
    if head.startswith(pcapng.SECTION_HEADER) and head[8:12] in pcapng.ORDERS:
        return pcapng.records(stream, tell)
    raise CaptureUnreadable(path, _what_it_is(head, stream))


def _what_it_is(head: bytes, stream: Stream) -> str:
    """Why a file that begins so is not read."""
    if head[:4] in pcap.MODIFIED:
        return "a pcap of the modified format (Kuznetzov), which edged does not read: convert it with editcap -F pcap"
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            return name
    if stream.trouble:
        return stream.trouble
    return "neither pcap nor pcapng" if head else "the file is empty"
