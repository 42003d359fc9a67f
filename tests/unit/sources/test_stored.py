"""The file of a last good list: what is written is read back, and whatever else is in it is called damaged."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.errors import EdgedError
from edged.packed import Entries, pack, unpack
from edged.sources import stored as module
from edged.sources.formats import Plain, parse
from edged.sources.stored import StoredList, dump, load

LINES = ("192.0.2.7", "192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "2001:db8::1", "203.0.113.0/25")


def a_list(*lines: str, **fields: Any) -> StoredList:
    parsed = parse(Plain(), io.BytesIO("\n".join(lines).encode()), show=True)
    known = {"name": "drop", "bad_count": 0, "loaded": 1763900000.25, "source": "/etc/edged/lists/drop.txt"}
    return StoredList(**{**known, "entries": parsed.entries, "count": parsed.count, "sha256": parsed.sha256, **fields})


def dumped(stored: StoredList) -> bytes:
    file = io.BytesIO()
    dump(stored, file)
    return file.getvalue()


def damage(raw: bytes) -> str:
    with pytest.raises(EdgedError, match=r"^damaged: ") as raised:
        load(io.BytesIO(raw))
    return str(raised.value).removeprefix("damaged: ")


def forged(raw: bytes, **fields: Any) -> bytes:
    """The file with other fields and the checksum that fits them."""
    head, body = raw.split(b"\n", 1)
    known = {key: value for key, value in json.loads(head).items() if key != "checksum"} | fields
    known = {key: value for key, value in known.items() if value != "absent"}
    checksum = hashlib.blake2b(json.dumps(known, sort_keys=True).encode() + body).hexdigest()
    return json.dumps({**known, "checksum": checksum}).encode() + b"\n" + body


def with_entries(family: Family, addresses: list[int], lengths: list[int], lines: list[int]) -> bytes:
    """The file of a list that no parser would make."""
    wire = b"".join(address.to_bytes(family.bits // 8, "big") for address in addresses)
    entries = Entries(family, pack(family, wire), np.array(lengths, np.uint8), np.array(lines, np.uint32))
    other = next(each for each in Family if each is not family)
    return dumped(a_list(entries={family: entries, other: Entries.empty(other)}, count=len(lengths)))


@pytest.mark.parametrize("lines", [(), LINES, LINES[:3], LINES[3:5]])
def test_a_list_is_read_as_it_was_written(lines: tuple[str, ...]) -> None:
    wanted = a_list(*lines, bad_count=3, modified=1763800000.5, source="https://lists.example.net/迷惑.txt")
    found = load(io.BytesIO(dumped(wanted)))
    for key in ("name", "count", "bad_count", "sha256", "loaded", "modified", "source", "distinct"):
        assert getattr(found, key) == getattr(wanted, key)
    for family in Family:
        mine, its = wanted.entries[family], found.entries[family]
        assert its.family is family
        assert unpack(family, its.addresses) == unpack(family, mine.addresses)
        assert [its.addresses.dtype, its.lengths.dtype, its.lines.dtype] == [
            mine.addresses.dtype,
            mine.lengths.dtype,
            mine.lines.dtype,
        ]
        assert (list(its.lengths), list(its.lines)) == (list(mine.lengths), list(mine.lines))


def test_a_list_longer_than_a_chunk_is_read_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    wanted = a_list(*LINES)
    assert unpack(Family.IPV6, load(io.BytesIO(dumped(wanted))).entries[Family.IPV6].addresses) == unpack(
        Family.IPV6, wanted.entries[Family.IPV6].addresses
    )


def test_the_layout_is_the_one_that_is_promised() -> None:
    head, body = dumped(a_list("192.0.2.0/24", "2001:db8::1")).split(b"\n", 1)
    assert body.hex() == "000200c0" + "18" + "01000000" + "20010db8000000000000000000000001" + "80" + "02000000"
    assert json.loads(head)["schema"] == "edged/v1/list"


def test_a_file_that_was_cut_off_anywhere_is_damaged() -> None:
    raw = dumped(a_list(*LINES))
    for kept in range(len(raw)):
        damage(raw[:kept])
    assert damage(raw[:-1]) == "it is shorter than it says"
    assert damage(raw + b"\0") == "it is longer than it says"


def test_a_file_with_any_bit_changed_is_damaged() -> None:
    raw = dumped(a_list(*LINES))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        # between the fields JSON may have other white space
        if raw[place : place + 1] not in {b" ", b"\n"}:
            damage(bytes(changed))


@given(st.one_of(st.binary(max_size=60), st.text('[]{}":,0a\n', max_size=30).map(str.encode)))
def test_any_bytes_are_damaged(raw: bytes) -> None:
    damage(raw)


@pytest.mark.parametrize("raw", [b"[" * 60_000 + b"\n", b"1" * 70_000 + b"\n", b'{"a":' * 10_000, b"\xff\n", b"null\n", b"{}\n"])
def test_any_first_line_is_damaged(raw: bytes) -> None:
    damage(raw)


@pytest.mark.parametrize("fields", [
    *({"schema": "edged/v2/list"}, {"name": 7}, {"name": "absent"}, {"sha256": None}, {"source": []}),
    *({"loaded": loaded} for loaded in ("1", True, None, float("inf"), float("nan"))),
    *({"modified": modified} for modified in ("1", "absent", True)),
    *({"count": number} for number in (-1, 1.0, True, 1 << 32)),
    *({"bad_count": None}, {"ipv4": "absent"}, {"ipv4": -1}, {"ipv6": 10**30}),
])  # fmt: skip
def test_fields_that_are_not_what_they_should_be_are_damage(fields: dict[str, Any]) -> None:
    assert damage(forged(dumped(a_list(*LINES)), **fields)).startswith(("its first line", "it is not edged/v1/list"))


def test_numbers_that_do_not_fit_are_damage() -> None:
    raw = dumped(a_list(*LINES))
    assert load(io.BytesIO(forged(raw))).count == 6
    assert damage(forged(raw, count=7)) == "the numbers of entries do not fit"
    assert damage(forged(raw, ipv6=3)) == "it is shorter than it says"
    assert damage(forged(raw, ipv4=(1 << 32) - 1)) == "it is shorter than it says"
    assert damage(forged(raw, ipv6=1)) == "it is longer than it says"


@pytest.mark.parametrize(("family", "entries", "message"), [
    (Family.IPV4, ([1], [33], [1]), "a prefix is too long"),
    (Family.IPV6, ([1], [129], [1]), "a prefix is too long"),
    (Family.IPV4, ([1], [31], [1]), "a prefix has host bits"),
    (Family.IPV6, ([0, 1 << 8], [0, 119], [1, 2]), "a prefix has host bits"),
    (Family.IPV4, ([1], [32], [0]), "an entry has no line"),
    (Family.IPV4, ([2, 1], [32, 32], [1, 2]), "the entries are not in order"),
    (Family.IPV6, ([1 << 120, 1], [128, 128], [1, 2]), "the entries are not in order"),
    (Family.IPV4, ([256, 256], [32, 24], [1, 2]), "the entries are not in order"),
    (Family.IPV4, ([1, 1], [32, 32], [2, 1]), "the entries are not in order"),
    (Family.IPV4, ([1, 2, 1], [32, 32, 32], [1, 2, 3]), "the entries are not in order"),
])  # fmt: skip
def test_entries_that_no_list_comes_to_are_damage(
    family: Family, entries: tuple[list[int], list[int], list[int]], message: str
) -> None:
    assert damage(with_entries(family, *entries)) == message


@pytest.mark.parametrize("entries", [([1, 2], [32, 32], [2, 1]), ([0, 0], [24, 32], [2, 1]), ([1, 1], [32, 32], [1, 1])])
def test_entries_in_order_are_none(entries: tuple[list[int], list[int], list[int]]) -> None:
    assert load(io.BytesIO(with_entries(Family.IPV4, *entries))).count == 2


def test_a_disk_that_fails_is_damage() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(EdgedError, match=r"^damaged: it cannot be read: Input/output error$"):
        load(Failing(dumped(a_list(*LINES))))
