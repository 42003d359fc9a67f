"""Reading the files of a configuration: what can be wrong with a file before anyone looks at what it says.

The loader reads through `Files`: from the disk, or from what was stored of an earlier configuration, so that the last good
one comes back through the very loader that took it in.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LARGEST = 4 << 20
LARGEST_TABLE = 16 << 20  # the file of subscribers; it has room for 300,000, and no more prefixes than sources/gather.py takes


class Unreadable(Exception):
    """The file or folder cannot be read; the text says why, without its name."""


class TooLarge(Unreadable):
    """The file has more bytes than edged reads of its kind."""


class Files(Protocol):
    """Where the loader gets its files from."""

    def read(self, path: Path, largest: int = LARGEST) -> bytes:
        """The content of a file of at most so many bytes; raises Unreadable."""
        ...

    def names(self, folder: Path) -> tuple[str, ...]:
        """The names in a folder but for hidden ones, in lexical order; raises Unreadable."""
        ...

    def has_secrets(self) -> bool:
        """Whether keys and passwords can be read where they lie; no copy is ever made of them."""
        ...


class DiskFiles:
    """The files on the disk: regular ones."""

    def read(self, path: Path, largest: int = LARGEST) -> bytes:
        """The content of a file of at most so many bytes; raises Unreadable."""
        try:
            # O_NONBLOCK: a FIFO in the file's place must not hold up a reload
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                content = _regular(descriptor, largest)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unreadable(_reason(error)) from error
        if len(content) > largest:
            raise TooLarge(f"is larger than {largest >> 20} MiB")
        return content

    def names(self, folder: Path) -> tuple[str, ...]:
        """The names in a folder but for hidden ones, in lexical order; raises Unreadable."""
        try:
            return tuple(sorted(name for name in os.listdir(folder) if not name.startswith(".")))  # noqa: PTH208  names alone
        except NotADirectoryError:
            raise Unreadable("is a file, not a folder") from None
        except OSError as error:
            raise Unreadable(_reason(error)) from error

    def has_secrets(self) -> bool:
        """These are the files themselves."""
        return True


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """Files as they were read before, by absolute path."""

    content: Mapping[Path, bytes]

    def read(self, path: Path, largest: int = LARGEST) -> bytes:  # noqa: ARG002  it was judged when it was stored
        """The content of a file; raises Unreadable."""
        try:
            return self.content[path]
        except KeyError:
            raise Unreadable("was not stored") from None

    def names(self, folder: Path) -> tuple[str, ...]:
        """The names in a folder, in lexical order."""
        return tuple(sorted(path.name for path in self.content if path.parent == folder))

    def has_secrets(self) -> bool:
        """Copies have none."""
        return False


def shown_path(path: Path, folder: Path) -> str:
    """The path as problems name it: relative to the folder of edged.yaml where it lies below, on one line."""
    text = os.fspath(path.relative_to(folder) if path.is_relative_to(folder) else path)
    text = os.fsencode(text).decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def _regular(descriptor: int, largest: int) -> bytes:
    """What a regular file holds, and a byte more than the largest at most."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise Unreadable("is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise Unreadable("is not a regular file")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(largest + 1)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "does not exist"
        case errno.EACCES:
            return "cannot be read: permission denied"
        case _:
            return f"cannot be read: {os.strerror(error.errno or 0).lower()}"
