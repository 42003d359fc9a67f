"""The file of a last good list: a line of JSON that says what it is, then the packed entries of IPv4 and of IPv6.

    {"schema": "edged/v1/list", "name": ..., "ipv4": 2, "ipv6": 1, ..., "checksum": "<128 hex digits>"} LF
    addresses   IPv4: 4 bytes each, little-endian; IPv6: 16 bytes each, in network byte order
    lengths     1 byte each
    lines       4 bytes each, little-endian

The checksum (BLAKE2b, RFC 7693) is of the other fields and of all that follows the line.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edged.addresses import Family
from edged.errors import EdgedError
from edged.packed import Entries, Packed
from edged.sources.gather import has_host_bits
from edged.sources.parsed import distinct

_SCHEMA = "edged/v1/list"
_LONGEST_HEADER = 64 << 10
_CHUNK = 1 << 20
_ADDRESSES = {Family.IPV4: np.dtype("<u4"), Family.IPV6: np.dtype("S16")}
_LENGTHS = np.dtype("u1")
_LINES = np.dtype("<u4")


@dataclass(frozen=True, eq=False)
class StoredList:
    """A list that was accepted; times are seconds since the epoch, `modified` is its source's own, where that told one."""

    name: str
    entries: Mapping[Family, Entries]  # both families
    count: int  # entries, repeated ones too
    bad_count: int
    sha256: str  # of the source's file
    loaded: float
    source: str
    modified: float | None = None

    @cached_property
    def distinct(self) -> int:
        """How many different prefixes the list names."""
        return distinct(self.entries)


def dump(stored: StoredList, file: BinaryIO) -> None:
    """Write the list. Raises OSError."""
    fields = {
        "schema": _SCHEMA,
        "name": stored.name,
        "sha256": stored.sha256,
        "loaded": stored.loaded,
        "modified": stored.modified,
        "source": stored.source,
        "count": stored.count,
        "bad_count": stored.bad_count,
        **{family.label: len(stored.entries[family]) for family in Family},
    }
    checksum = _begun(fields)
    for part in _parts(stored.entries):
        checksum.update(part)
    file.write(json.dumps({**fields, "checksum": checksum.hexdigest()}).encode() + b"\n")
    for part in _parts(stored.entries):
        file.write(part)


def load(file: BinaryIO) -> StoredList:
    """The list that `dump` wrote, checked throughout. Raises EdgedError, whatever is in the file."""
    fields = _header(file)
    checksum = _begun({key: value for key, value in fields.items() if key != "checksum"})
    entries = {family: _read_entries(family, file, fields[family.label], checksum) for family in Family}
    if _read(file, 1):
        raise _damaged("it is longer than it says")
    if checksum.hexdigest() != fields["checksum"]:
        raise _damaged("the checksum does not fit")
    if fields["count"] != sum(map(len, entries.values())):
        raise _damaged("the numbers of entries do not fit")
    for each in entries.values():
        _check(each)
    return StoredList(
        name=fields["name"],
        entries=entries,
        count=fields["count"],
        bad_count=fields["bad_count"],
        sha256=fields["sha256"],
        loaded=fields["loaded"],
        source=fields["source"],
        modified=fields["modified"],
    )


def _damaged(how: str) -> EdgedError:
    return EdgedError(f"damaged: {how}")


def _begun(fields: Mapping[str, Any]) -> hashlib.blake2b:
    return hashlib.blake2b(json.dumps(fields, sort_keys=True).encode())


def _parts(entries: Mapping[Family, Entries]) -> Iterator[memoryview]:
    """The packed arrays as bytes, in the order of the file."""
    for family in Family:
        each = entries[family]
        for array, kind in ((each.addresses, _ADDRESSES[family]), (each.lengths, _LENGTHS), (each.lines, _LINES)):
            octets = np.ascontiguousarray(array.astype(kind, copy=False)).view(np.uint8)
            for first in range(0, len(octets), _CHUNK):
                yield octets[first : first + _CHUNK].data


def _header(file: BinaryIO) -> dict[str, Any]:
    try:
        line = file.readline(_LONGEST_HEADER)
        fields = json.loads(line)
    except OSError as error:
        raise _damaged(f"it cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged("its first line is not JSON") from error
    if not line.endswith(b"\n") or not isinstance(fields, dict) or fields.get("schema") != _SCHEMA:
        raise _damaged(f"it is not {_SCHEMA}")
    sound = (
        all(isinstance(fields.get(key), str) for key in ("name", "sha256", "source", "checksum"))
        and all(_is_count(fields.get(key)) for key in ("count", "bad_count", *(family.label for family in Family)))
        and _is_time(fields.get("loaded"))
        and ("modified" in fields and (fields["modified"] is None or _is_time(fields["modified"])))
    )
    if not sound:
        raise _damaged("its first line lacks fields, or has others than it should")
    return fields


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _read_entries(family: Family, file: BinaryIO, number: int, checksum: hashlib.blake2b) -> Entries:
    def column(kind: np.dtype[Any]) -> NDArray[Any]:
        octets = bytearray()
        # a chunk at a time: a damaged number must not reserve memory that the file does not fill
        while missing := number * kind.itemsize - len(octets):
            chunk = _read(file, min(missing, _CHUNK))
            if not chunk:
                raise _damaged("it is shorter than it says")
            checksum.update(chunk)
            octets += chunk
        return np.frombuffer(octets, kind)

    addresses = column(_ADDRESSES[family])
    native: Packed = addresses.astype("=u4", copy=False) if family is Family.IPV4 else addresses
    return Entries(family, native, column(_LENGTHS), column(_LINES).astype("=u4", copy=False))


def _read(file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise _damaged(f"it cannot be read: {error.strerror or error}") from error


def _check(entries: Entries) -> None:
    """Refuse entries that no list can come to."""
    if not len(entries):
        return
    if int(entries.lengths.max()) > entries.family.bits:
        raise _damaged("a prefix is too long")
    if has_host_bits(entries.family, entries.addresses, entries.lengths):
        raise _damaged("a prefix has host bits")
    if not entries.lines.min():
        raise _damaged("an entry has no line")
    ordered = np.ones(len(entries) - 1, bool)
    for column in (entries.lines, entries.lengths, entries.addresses):
        before, after = column[:-1], column[1:]
        ordered = (before < after) | ((before == after) & ordered)
    if not ordered.all():
        raise _damaged("the entries are not in order")
