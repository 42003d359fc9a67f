"""The tables that people see of a replay, by rich; imported only where one is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edged.replay.printable import printable
from edged.replay.report import POLICY_WORDS, Summary
from edged.replay.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edged.replay.expect import Result

_MOST_REASONS = 8


def screen(summary: Summary, results: Sequence[Result] = (), seconds: float | None = None) -> Iterator[RenderableType]:
    """What a replay found, table after table; `results` are those of the expectations, and a miss tells what was seen."""
    yield _captures(summary)
    if summary.unparsed:
        yield Text(f"no IP packet found in {_reasons(summary)}", style="dim")
    if summary.policies:
        yield _policies(summary)
    if summary.classes:
        yield _classes(summary)
    if results:
        yield from _expectations(results)
    if seconds:
        rate = f"{summary.packets / seconds:,.0f} packets/s"
        yield Text(f"{seconds:.1f} s, {rate}, engine: {summary.engine}", style="dim")


def _captures(summary: Summary) -> Table:
    table = _table("capture", "packets", "unparsed", *(verdict.value for verdict in Verdict))
    unparsed: Counter[str] = Counter()
    for (capture, _), packets in summary.unparsed_by.items():
        unparsed[capture] += packets
    for name in dict.fromkeys(summary.captures):
        judged = [summary.verdicts[name, verdict] for verdict in Verdict]
        _add(table, name, sum(judged) + unparsed[name], unparsed[name], *judged)
    if len(table.rows) > 1:
        _add(table, "all", summary.packets, summary.unparsed, *map(summary.count, Verdict))
    return table


def _reasons(summary: Summary) -> str:
    reasons: Counter[str] = Counter()
    for (_, reason), packets in summary.unparsed_by.items():
        reasons[reason] += packets
    found = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    parts = [f"{packets:,} ({printable(reason)})" for reason, packets in found[:_MOST_REASONS]]
    rest = sum(packets for _, packets in found[_MOST_REASONS:])
    return ", ".join([*parts, f"{rest:,} for other reasons"] if rest else parts)


def _policies(summary: Summary) -> Table:
    table = _table("policy", *POLICY_WORDS)
    for name, counts in summary.policies.items():
        _add(table, name, *(counts[word] for word in POLICY_WORDS))
    return table


def _classes(summary: Summary) -> Table:
    table = _table("class", "flows", "packets", "bytes")
    for name, seen in sorted(summary.classes.items()):
        _add(table, name, seen.flows, seen.packets, seen.octets)
    return table


def _expectations(results: Sequence[Result]) -> Iterator[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("expectation", overflow="fold")
    table.add_column("wanted", overflow="fold")
    table.add_column("got", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in results:
        expectation = result.expectation
        state = Text("held", style="green") if result.held else Text("MISSED", style="bold red")
        name = Text(printable(expectation.name or expectation.filter_text))
        table.add_row(name, Text(printable(expectation.wanted)), f"{result.packets:,}", state)
    yield table
    for result in results:
        if not result.held:
            yield Text(printable(str(result)), style="red")


def _table(first: str, *counts: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold")
    for each in counts:
        table.add_column(each, justify="right", no_wrap=True)
    return table


def _add(table: Table, name: str, *counts: int) -> None:
    table.add_row(Text(printable(name)), *(f"{count:,}" for count in counts))
