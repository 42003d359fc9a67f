"""What edged promises, and the table of what harnesses measured of it.

A harness is a test with the mark `promise(N)` that says its figures through the fixture `measured`; every run of pytest that had
one ends with the table, and `./bootstrap prove` is the run of all of them in their long forms. A promise is held where all of its
harnesses ran and passed. The README's page of promises has the same numbers; a test holds the two together.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# names among a report's properties, which travel from xdist's workers
NUMBER = "promise"
FIGURE = "measured"


class Promise(NamedTuple):
    """What is promised, and the figure that says whether it is kept."""

    title: str
    target: str


PROMISES: dict[int, Promise] = {
    1: Promise("Apply is atomic", "0 leaked, 0 wrongly dropped during changes of the policy"),
    2: Promise("kill -9 opens nothing", "no moment without OP25B, at 200 random points; then exactly the desired state"),
    3: Promise("A stranger's flush opens nothing", "0 leaked with the owner flag; without it back in 10 ms (p99)"),
    4: Promise("A stranger's edit of tc is undone", "caps back within 250 ms (p99), a full audit every 30 s"),
    5: Promise("A dead, slow or stalled inspector costs no packet", "0 lost; new connections within 100 ms (p99)"),
    6: Promise("Apply never drops queued packets", "150 of 150 arrive"),
    7: Promise("A bad file never replaces a good policy", "300 malformed files refused at their exact place"),
    8: Promise("Confirm rolls back", "within T + 1 s in all of 50 runs, whoever dies"),
    9: Promise("No lock-out", "refused with exit code 6 and the reason"),
    10: Promise("Packet parsers neither raise nor hang", "10 million inputs, no exception, p99.9 below 1 ms"),
    11: Promise("Nor do the parsers of lists and files", "10 million inputs, no exception, memory within its cap"),
    12: Promise("The model says what the kernel does", "100,000 pairs of policy and packet, no difference"),
    14: Promise("A broken machine does not end enforcement", "enforced, the fault visible, no crash loop"),
    15: Promise("Memory and descriptors are bounded", "flat: less than 1 MiB/h over 100,000 subscribers"),
    16: Promise("Rules before packets at boot", "OP25B in force before the first packet is forwarded"),
    17: Promise("Stop and teardown do what they say", "stop keeps the rules; after teardown all is as before, byte by byte"),
    18: Promise("Small privilege", "systemd-analyze security at most 1.7; CAP_NET_ADMIN alone"),
    19: Promise("No packet slips past for its state", "0 of INVALID, untracked, mid-flow or older than the rule"),
    20: Promise("A new entry ends open flows", "stopped by the commit that adds it"),
    21: Promise("What people communicate stays secret", "no subscriber's far end, no secret in anything that edged wrote"),
}


class Outcome(NamedTuple):
    """How a harness of a promise ended, and the figures that it said."""

    number: int
    outcome: str
    figures: tuple[str, ...] = ()


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Says a figure that the running harness measured: `measured("0 of 8001 leaked")`."""
    return Measured(record_property)


class Measured:
    """Takes the figures of one harness, each a short text with its unit."""

    def __init__(self, record_property: Callable[[str, object], None]) -> None:
        self._record = record_property

    def __call__(self, figure: str) -> None:
        self._record(FIGURE, figure)


def numbers_of(item: pytest.Item) -> list[int]:
    """The promises that a test is a harness of; pytest.UsageError where there is no such promise."""
    numbers = [number for mark in item.iter_markers("promise") for number in mark.args]
    if unknown := set(numbers) - PROMISES.keys():
        raise pytest.UsageError(f"{item.nodeid}: no promise has the number {', '.join(map(str, sorted(unknown)))}")
    return numbers


def outcomes(reports: Iterable[pytest.TestReport]) -> Iterator[Outcome]:
    """What the reports of a run say of promises."""
    for report in reports:
        for number in (int(str(value)) for name, value in report.user_properties if name == NUMBER):
            if report.when == "call" or report.outcome != "passed":
                figures = (str(value) for name, value in report.user_properties if name == FIGURE)
                yield Outcome(number, report.outcome, tuple(figures))


def write(path: Path, found: Iterable[Outcome]) -> None:
    """Keep outcomes for the table of a later run."""
    path.write_text(json.dumps(list(found)))


def read(path: Path) -> Iterator[Outcome]:
    """What a run before has kept; nothing where none has."""
    text = path.read_text() if path.exists() else ""
    for number, outcome, figures in json.loads(text or "[]"):
        yield Outcome(number, outcome, tuple(figures))


def table(found: Iterable[Outcome]) -> Iterator[str]:
    """The lines of the table; nothing where no harness ran."""
    rows = defaultdict[int, list[Outcome]](list)
    for each in found:
        rows[each.number].append(each)
    for number in sorted(rows):
        promise, row = PROMISES[number], rows[number]
        yield f"{number:2}  {promise.title}: {_verdict([each.outcome for each in row])}"
        yield f"      target    {promise.target}"
        for place, figure in enumerate(dict.fromkeys(figure for each in row for figure in each.figures)):
            yield f"      {'measured' if place == 0 else '        '}  {figure}"
    if rows and (left := PROMISES.keys() - rows.keys()):
        yield f"no harness ran of: {', '.join(map(str, sorted(left)))}"


def _verdict(outcomes: list[str]) -> str:
    if "failed" in outcomes:
        return "NOT HELD"
    return "held" if "skipped" not in outcomes else "not measured in full: a harness was skipped, the reason is above"
