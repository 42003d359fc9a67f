"""One list from its file: read, parsed, and let through by its guards or refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from edged.addresses import Family
from edged.apart.reader import parse_apart
from edged.config.blocklist import ListFormat, ListSource
from edged.sources.formats import CsvFormat, Format, Plain, SpamhausDrop, parse
from edged.sources.guards import Limits, Protected, judge
from edged.sources.parsed import ListRefused, Parsed, Reason
from edged.sources.stored import StoredList


def read(source: ListSource, path: Path, protected: Sequence[Protected], former: StoredList | None) -> Parsed:
    """The source's content, let through by its guards. Raises ListRefused."""
    show = not source.confidential
    try:
        with _open(path) as file:
            # what a stranger sent is read where nothing can be gained by it; the operator's own files are read here
            how = parse if source.url is None else parse_apart
            parsed = how(_format(source), file, show=show, largest=source.guards.largest)
    except OSError as error:
        if source.url is not None and isinstance(error, FileNotFoundError):
            raise ListRefused("it was never fetched; the daemon does that", Reason.UNREADABLE) from error
        raise ListRefused(f"{path} cannot be read: {error.strerror}", Reason.UNREADABLE) from error
    guards = source.guards
    limits = Limits(
        shrunk=guards.shrunk,
        grown=guards.grown,
        bad_lines=guards.bad_lines,
        shortest={Family.IPV4: guards.shortest_ipv4, Family.IPV6: guards.shortest_ipv6},
        allow_reserved=guards.reserved,
    )
    judge(parsed, limits, protected, former.distinct if former else None, show=show)
    return parsed


def _open(path: Path) -> BinaryIO:
    """Open a regular file. Raises OSError, ListRefused for what is no file."""
    # O_NONBLOCK: a FIFO in the file's place must not hold up a reload
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ListRefused(f"{path} is not a regular file", Reason.UNREADABLE)
    return open(descriptor, "rb")  # noqa: PTH123  a descriptor, not a path


def _format(source: ListSource) -> Format:
    columns = source.columns
    if source.format is ListFormat.CSV and columns is not None:
        return CsvFormat(columns.address, columns.length, columns.delimiter, columns.charset, columns.header)
    return SpamhausDrop() if source.format is ListFormat.SPAMHAUS_DROP else Plain()


def signature(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None where there is none. Costs one system call."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
