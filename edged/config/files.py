"""Reading the files of a configuration: what can be wrong with a file before anyone looks at what it says."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 4 << 20


class Unreadable(Exception):
    """The file or folder cannot be read; the text says why, without its name."""


def read_file(path: Path) -> bytes:
    """The content of a regular file of at most LARGEST bytes; raises Unreadable."""
    try:
        # O_NONBLOCK: a FIFO in the file's place must not hold up a reload
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise Unreadable("is a folder, not a file")
            if not stat.S_ISREG(mode):
                raise Unreadable("is not a regular file")
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Unreadable(_reason(error)) from error
    if len(content) > LARGEST:
        raise Unreadable(f"is larger than {LARGEST >> 20} MiB; bulk data belongs into a list, not into YAML")
    return content


def list_folder(path: Path) -> tuple[str, ...]:
    """The names in a folder but for hidden ones, in lexical order; raises Unreadable."""
    try:
        return tuple(sorted(name for name in os.listdir(path) if not name.startswith(".")))  # noqa: PTH208  names alone
    except NotADirectoryError:
        raise Unreadable("is a file, not a folder") from None
    except OSError as error:
        raise Unreadable(_reason(error)) from error


def shown_path(path: Path, folder: Path) -> str:
    """The path as problems name it: relative to the folder of edged.yaml where it lies below, on one line."""
    text = os.fspath(path.relative_to(folder) if path.is_relative_to(folder) else path)
    text = os.fsencode(text).decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "does not exist"
        case errno.EACCES:
            return "cannot be read: permission denied"
        case _:
            return f"cannot be read: {os.strerror(error.errno or 0).lower()}"
