"""What the lab says: a live table on a terminal, plain lines elsewhere, one JSON object a round for programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.trial import Lab, Result, describe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


# columns of the terminal that it takes to show the counters too, and the particulars of each attempt
_COUNTERS_FIT = 106
_PARTICULARS_FIT = 144


class Report(ABC):
    """Where the lab tells people what it does."""

    @abstractmethod
    def begin(self, lab: Lab) -> None:
        """The lab stands."""

    @abstractmethod
    def result(self, number: int, result: Result) -> None:
        """An attempt of round `number` was made."""

    @abstractmethod
    def round(self, number: int, results: Sequence[Result]) -> None:
        """A round is over."""

    @abstractmethod
    def end(self) -> None:
        """Nothing more is told; what stands on the terminal stays."""


def introduction(lab: Lab) -> list[str]:
    """How to look at the lab from another terminal."""
    at, listen = lab.topology, lab.gateway.listen
    hosts = ", ".join(host.netns for host in (at.gateway, at.dynamic, at.static, at.outside))
    return [
        f"metrics: ip netns exec {at.gateway.netns} curl -s http://{listen}/metrics",
        f"a shell on a host: ip netns exec NAME bash, NAME one of {hosts}",
        "what you send from there meanwhile is counted too, and a round may wonder at it; Ctrl-C ends the lab and removes it all",
    ]


def as_document(number: int, results: Sequence[Result], seconds: float) -> dict[str, object]:
    """A round as the object that --json prints."""
    return {
        "schema": "edged/v1/lab",
        "round": number,
        "right": not any(result.wrong for result in results),
        "seconds": round(seconds, 3),
        "attempts": [_attempt(attempt, [each for each in results if each.attempt is attempt]) for attempt in ATTEMPTS],
    }


def _attempt(attempt: Attempt, results: Sequence[Result]) -> dict[str, object]:
    by = attempt.counted_by
    return {
        "attempt": attempt.name,
        "who": attempt.who,
        "what": attempt.what,
        "expected": str(attempt.expected),
        "counted_by": None if by is None else {"policy": by.policy, "direction": by.direction.value, "verdict": by.verdict},
        **{result.family.label: _result(result) for result in results},
    }


def _result(result: Result) -> dict[str, object]:
    counted = [
        {
            "policy": each.policy,
            "direction": each.direction.value,
            "family": each.family.label,
            "verdict": each.verdict,
            "packets": rise,
        }
        for each, rise in result.counted.items()
    ]
    seen = result.seen
    return {
        "right": result.wrong is None,
        "seen": str(seen.outcome),
        "detail": seen.detail,
        "counted": counted,
        "wrong": result.wrong,
    }


class Lines(Report):
    """A line a result, for where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, lab: Lab) -> None:
        """Say where to look."""
        for line in introduction(lab):
            self._say(line)

    def result(self, number: int, result: Result) -> None:  # noqa: ARG002  the lines stand in order
        """One line."""
        attempt, family = result.attempt, _people(result.family)
        if result.wrong is None:
            by = f"; {attempt.counted_by} +1" if attempt.counted_by else ""
            self._say(f"ok     {family}  {_tries(attempt)}: {describe(result.seen)}{by}")
        else:
            self._say(f"WRONG  {family}  {_tries(attempt)}: {result.wrong}")

    def round(self, number: int, results: Sequence[Result]) -> None:
        """The sum."""
        self._say(summary(number, results))

    def end(self) -> None:
        """Nothing is left to do."""

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def summary(number: int, results: Sequence[Result]) -> str:
    """A round in one line."""
    wrong = sum(result.wrong is not None for result in results)
    return f"round {number}: {len(results) - wrong} of {len(results)} attempts came out right" + (
        f", {wrong} did NOT" if wrong else ""
    )


class Table(Report):
    """A table that is filled in as the round goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._head: list[str] = []
        self._now = ""
        self._results: dict[tuple[str, Family], Result] = {}
        self._counted: dict[tuple[str, Family], int] = {}

    def begin(self, lab: Lab) -> None:
        """Show the empty table."""
        from rich.live import Live  # noqa: PLC0415

        self._head = introduction(lab)
        self._now = "round 1 ..."
        self._live = Live(self._render(), console=self._console, auto_refresh=False)
        self._live.start()

    def result(self, number: int, result: Result) -> None:
        """Fill in a cell."""
        key = (result.attempt.name, result.family)
        self._results[key] = result
        self._counted[key] = self._counted.get(key, 0) + sum(result.counted.values())
        self._now = f"round {number} ..."
        self._show()

    def round(self, number: int, results: Sequence[Result]) -> None:
        """The sum above the table: the end of a long one is cut off while it lives."""
        self._now = summary(number, results)
        self._show()

    def end(self) -> None:
        """Leave the last table on the terminal."""
        if self._live is not None:
            self._live.stop()

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        from rich import box  # noqa: PLC0415
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table as Grid  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        headings = ("tries", "expected", "IPv4", "IPv6", "counted by", "packets")
        shown = len(headings) if self._console.width >= _COUNTERS_FIT else 4
        grid = Grid(*headings[:shown], box=box.SIMPLE_HEAD, pad_edge=False)
        for attempt in ATTEMPTS:
            cells = [self._cell(attempt, family) for family in Family]
            row = [_tries(attempt), str(attempt.expected), *cells, str(attempt.counted_by or ""), self._counts(attempt)]
            grid.add_row(*row[:shown])
        wrong = [f"{_people(each.family)} {_tries(each.attempt)}: {each.wrong}" for each in self._results.values() if each.wrong]
        return Group(
            *(Text(line) for line in self._head),
            Text(self._now, style="bold"),
            grid,
            *(Text(line, style="red") for line in wrong),
        )

    def _cell(self, attempt: Attempt, family: Family) -> RenderableType:
        from rich.text import Text  # noqa: PLC0415

        result = self._results.get((attempt.name, family))
        if result is None:
            return Text("...", style="dim")
        word, style = ("ok", "green") if result.wrong is None else ("WRONG", "bold red")
        detail = f" {result.seen.detail}" if self._console.width >= _PARTICULARS_FIT else ""
        return Text.assemble((word, style), detail)

    def _counts(self, attempt: Attempt) -> str:
        """How many packets its counter counted since the lab began, in IPv4 and in IPv6."""
        if attempt.counted_by is None:
            return ""
        return " + ".join(str(self._counted.get((attempt.name, family), 0)) for family in Family)


def _tries(attempt: Attempt) -> str:
    return f"{attempt.who} -> {attempt.what}"


def _people(family: Family) -> str:
    return "IPv4" if family is Family.IPV4 else "IPv6"
