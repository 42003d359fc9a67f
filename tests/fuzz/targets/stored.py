"""The file of a last good list, after whatever a disk did to it."""

from __future__ import annotations

import io

from edged.addresses import Family
from edged.errors import EdgedError
from edged.sources.formats import Plain, parse
from edged.sources.stored import StoredList, dump, load
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """The list, or that it is damaged."""
    try:
        found = load(io.BytesIO(data))
    except EdgedError:
        return
    assert found.count == sum(len(found.entries[family]) for family in Family)


def _seed(text: bytes) -> bytes:
    parsed = parse(Plain(), io.BytesIO(text), show=True)
    file = io.BytesIO()
    dump(StoredList("x", parsed.entries, parsed.count, parsed.bad_count, parsed.sha256, 1.0, "x"), file)
    return file.getvalue()


TARGET = Target(11, run, (_seed(b"192.0.2.0/24\n2001:db8::/32\n"), _seed(b"192.0.2.1\n"), _seed(b"")))
