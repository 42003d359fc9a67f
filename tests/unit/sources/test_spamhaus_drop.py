"""DROP in JSON lines: the trailer counts every record, and bad ones are told in the order of the list."""

from __future__ import annotations

import io
import json

import pytest

from edged.addresses import Family
from edged.sources.formats import SpamhausDrop, parse
from edged.sources.gather import BATCH
from edged.sources.parsed import ListRefused, Parsed, Reason


def read(*objects: object, show: bool = True) -> Parsed:
    lines = (each if isinstance(each, str) else json.dumps(each) for each in objects)
    return parse(SpamhausDrop(), io.BytesIO("".join(f"{line}\n" for line in lines).encode()), show=show)


def entry(cidr: object) -> dict[str, object]:
    return {"cidr": cidr, "sblid": "SBL1", "rir": "arin"}


def trailer(records: object) -> dict[str, object]:
    return {"type": "metadata", "timestamp": 1763900000, "size": 1, "records": records}


GOOD = entry("192.0.2.0/24")


@pytest.mark.parametrize("number", [1, 2, BATCH, BATCH + 1])
def test_the_trailer_counts_the_records(number: int) -> None:
    assert read(*(GOOD,) * number, trailer(number)).count == number
    for wrong in (0, number - 1, number + 1, -number, float(number), str(number), True, None, 10**30):
        with pytest.raises(ListRefused) as raised:
            read(*(GOOD,) * number, trailer(wrong))
        assert (raised.value.reason, raised.value.line) == (Reason.WRONG_COUNT, number + 1)


def test_the_trailer_counts_bad_records_too() -> None:
    parsed = read(GOOD, entry("192.0.2.1/24"), "nonsense", {"type": "other"}, entry(7), trailer(5))
    assert (parsed.count, parsed.bad_count) == (1, 4)


def test_bad_records_are_told_in_the_order_of_the_list() -> None:
    parsed = read(GOOD, entry("x"), "nonsense", entry("2001:db8::1/32"), entry(None), entry("192.0.2.1/24"), "[]", trailer(7))
    assert [bad.line for bad in parsed.bad] == [2, 3, 4, 5, 6, 7]


def test_the_trailer_is_the_last_line_but_for_blank_ones() -> None:
    assert read("", GOOD, "", trailer(1), "", " ").count == 1
    for objects in ((trailer(1), GOOD), (GOOD, trailer(1), "nonsense"), (GOOD, trailer(1), trailer(1)), (GOOD,)):
        with pytest.raises(ListRefused) as raised:
            read(*objects)
        assert raised.value.reason is Reason.WRONG_COUNT


def test_both_families_stand_in_one_list() -> None:
    parsed = read(GOOD, entry("2001:db8::/32"), trailer(2))
    assert {family: len(entries) for family, entries in parsed.entries.items()} == {Family.IPV4: 1, Family.IPV6: 1}


def test_the_number_in_the_trailer_of_a_confidential_list_is_not_shown() -> None:
    with pytest.raises(ListRefused, match=r"^line 2: the trailer says another number of records, the list has 1$"):
        read(GOOD, trailer(987654), show=False)
