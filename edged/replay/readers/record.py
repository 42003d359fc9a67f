"""What a capture file holds, and how it may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edged.errors import EdgedError, ExitCode

# The longest record that is believed: the largest snapshot length of libpcap (pcap-int.h, MAXIMUM_SNAPLEN) and of Wireshark.
LONGEST_RECORD = 256 << 10


class Record(NamedTuple):
    """A captured frame.

    `number` counts from 1 in the file; `nanoseconds` are since the epoch, 0 where the file tells no time (pcapng's simple packet
    block); `link` is a LINKTYPE number; `interface` counts a pcapng file's interfaces from 0, through all its sections; `data`
    may be shorter than the frame's `original_length`.
    """

    number: int
    nanoseconds: int
    link: int
    interface: int
    data: bytes
    original_length: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a file could not be read to its end, and the place in the unpacked file where the first bad thing begins."""

    message: str
    offset: int


class CaptureUnreadable(EdgedError):
    """A file that cannot be opened, or that is no capture edged reads."""

    exit_code = ExitCode.INVALID

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[CaptureUnreadable], tuple[Path, str]]:
        """How it comes whole from the process that met it (--jobs)."""
        return CaptureUnreadable, (self.path, self.reason)


class Broken(Exception):
    """Raised by a reader where it cannot go on; the capture tells it as its damage."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.damage = Damage(message, offset)
