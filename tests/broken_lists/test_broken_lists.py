"""Every broken list is refused with exactly its reason and these words, in bounded memory; every odd one is used."""

from __future__ import annotations

import re
import tracemalloc
from ipaddress import ip_network

import pytest

from edged.addresses import Family
from edged.sources.formats import CsvFormat, parse
from edged.sources.guards import Limits, judge
from edged.sources.parsed import ListRefused, Parsed, Reason
from edged.sources.spelling import written
from tests.broken_lists.cases import Case, broken_lists, odd_lists
from tests.promises import Measured

BROKEN = broken_lists()
ODD = odd_lists()
MOST_MEMORY = 32 << 20
EVERYTHING = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}


def take(case: Case, *, show: bool = True) -> Parsed:
    with case.open() as file:
        parsed = parse(case.format, file, show=show)
    judge(parsed, Limits(), case.protected, case.former, show=show)
    return parsed


def refused(case: Case, *, show: bool = True) -> ListRefused:
    with pytest.raises(ListRefused) as raised:
        take(case, show=show)
    return raised.value


@pytest.mark.promise(7)
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_list_is_refused_with_its_reason(case: Case, request: pytest.FixtureRequest) -> None:
    found = refused(case)
    if request.config.getoption("--update-golden") and case.source:
        case.update(f"-- refused: {found.reason} --", (str(found),))
        return
    assert (found.reason, str(found)) == (case.reason, case.message)
    assert found.line is None or f"line {found.line}" in case.message


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_the_refusal_of_a_confidential_list_shows_nothing_of_it(case: Case) -> None:
    found = refused(case, show=False)
    assert found.reason is case.reason
    with case.open() as file:
        words = set(re.findall(r"[\w.:/%-]{4,}", file.read(1 << 20).decode("latin-1")))
    configured = {case.format.address, case.format.charset.upper()} if isinstance(case.format, CsvFormat) else set()
    telling = {word for word in words - configured if re.search(r"[0-9.:]", word)}
    assert not {word for word in telling if word in str(found)}
    if "line" in case.message and found.line is not None:
        assert "line" in str(found)


@pytest.mark.promise(11)
@pytest.mark.parametrize("case", [case for case in BROKEN if case.source is None], ids=lambda case: case.name)
def test_a_list_of_any_size_is_refused_in_bounded_memory(case: Case, measured: Measured) -> None:
    with case.open() as file:
        tracemalloc.start()
        try:
            with pytest.raises(ListRefused):
                parse(case.format, file, show=True)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < MOST_MEMORY
    if case.name.startswith(("gzip-bomb", "size-")):
        measured(f"{case.name}: refused with {most / (1 << 20):.1f} MiB of {MOST_MEMORY >> 20}")


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.name)
def test_an_odd_list_is_used(case: Case, request: pytest.FixtureRequest) -> None:
    parsed = take(case)
    found = sorted(
        (int(line), written(family, network, length))
        for family, entries in parsed.entries.items()
        for network, length, line in entries.meeting(ip_network(EVERYTHING[family]))
    )
    if request.config.getoption("--update-golden"):
        case.update("-- entries --", tuple(f"{line} {prefix}" for line, prefix in found))
        return
    assert tuple(found) == case.entries
    assert parsed.bad_count == 0


@pytest.mark.promise(7)
def test_cases_are_many_and_say_what_they_are_about(measured: Measured) -> None:
    assert len(BROKEN) >= 120
    measured(f"{len(BROKEN)} malformed lists refused, each with its reason and line")
    assert len({case.about for case in (*BROKEN, *ODD)}) == len(BROKEN) + len(ODD)
    assert len({case.name for case in (*BROKEN, *ODD)}) == len(BROKEN) + len(ODD)
    assert {case.reason for case in BROKEN} == set(Reason)
    assert all(case.entries for case in ODD)
