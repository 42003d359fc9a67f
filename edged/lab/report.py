"""What the lab says: a live table on a terminal, and plain lines elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from edged.addresses import Family
from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.caps import CapResult
from edged.lab.trial import Lab, Made, Result, describe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


# columns of the terminal that it takes to show the counters too, and the particulars of each attempt
_COUNTERS_FIT = 106
_PARTICULARS_FIT = 144
_WORDS = {True: ("ok", "green"), False: ("WRONG", "bold red")}


class Report(ABC):
    """Where the lab tells people what it does."""

    @abstractmethod
    def begin(self, lab: Lab) -> None:
        """The lab stands."""

    @abstractmethod
    def result(self, number: int, result: Made) -> None:
        """A part of round `number` was made."""

    @abstractmethod
    def round(self, number: int, results: Sequence[Made]) -> None:
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


class Lines(Report):
    """A line a result, for where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, lab: Lab) -> None:
        """Say where to look."""
        for line in introduction(lab):
            self._say(line)

    def result(self, number: int, result: Made) -> None:  # noqa: ARG002  the lines stand in order
        """One line."""
        self._say(
            f"{'ok   ' if result.wrong is None else 'WRONG'}  {_people(result.family)}  {_what(result)}: {_finding(result)}"
        )

    def round(self, number: int, results: Sequence[Made]) -> None:
        """The sum."""
        self._say(summary(number, results))

    def end(self) -> None:
        """Nothing is left to do."""

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def summary(number: int, results: Sequence[Made]) -> str:
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
        self._caps: dict[Family, CapResult] = {}

    def begin(self, lab: Lab) -> None:
        """Show the empty table."""
        from rich.live import Live  # noqa: PLC0415

        self._head = introduction(lab)
        self._now = "round 1 ..."
        self._live = Live(self._render(), console=self._console, auto_refresh=False)
        self._live.start()

    def result(self, number: int, result: Made) -> None:
        """Fill in a cell, or the line of its family."""
        match result:
            case Result():
                key = (result.attempt.name, result.family)
                self._results[key] = result
                self._counted[key] = self._counted.get(key, 0) + sum(result.counted.values())
            case CapResult():
                self._caps[result.family] = result
            case _:
                assert_never(result)
        self._now = f"round {number} ..."
        self._show()

    def round(self, number: int, results: Sequence[Made]) -> None:
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
        wrong = [f"{_people(each.family)} {_what(each)}: {each.wrong}" for each in self._results.values() if each.wrong]
        return Group(
            *(Text(line) for line in self._head),
            Text(self._now, style="bold"),
            *(self._beside(family) for family in Family),
            grid,
            *(Text(line, style="red") for line in wrong),
        )

    def _cell(self, attempt: Attempt, family: Family) -> RenderableType:
        from rich.text import Text  # noqa: PLC0415

        result = self._results.get((attempt.name, family))
        if result is None:
            return Text("...", style="dim")
        word, style = _WORDS[result.wrong is None]
        detail = f" {result.seen.detail}" if self._console.width >= _PARTICULARS_FIT else ""
        return Text.assemble((word, style), detail)

    def _beside(self, family: Family) -> RenderableType:
        from rich.text import Text  # noqa: PLC0415

        result, name = self._caps.get(family), f"{_people(family)} "
        if result is None:
            return Text.assemble(name, ("caps ...", "dim"))
        word, style = _WORDS[result.wrong is None]
        return Text.assemble(name, (word, style), f" {_finding(result)}")

    def _counts(self, attempt: Attempt) -> str:
        """How many packets its counter counted since the lab began, in IPv4 and in IPv6."""
        if attempt.counted_by is None:
            return ""
        return " + ".join(str(self._counted.get((attempt.name, family), 0)) for family in Family)


def _what(result: Made) -> str:
    """What was tried, and by whom."""
    return _tries(result.attempt) if isinstance(result, Result) else "dynamic -> a torrent, and a download beside it"


def _finding(result: Made) -> str:
    """What became of it, and what counted it; of what came out wrong, what differs."""
    match result:
        case Result():
            by = f"; {result.attempt.counted_by} +1" if result.attempt.counted_by else ""
            return result.wrong or f"{describe(result.seen)}{by}"
        case CapResult():
            return result.wrong or str(result.seen)
        case _:
            assert_never(result)


def _tries(attempt: Attempt) -> str:
    return f"{attempt.who} -> {attempt.what}"


def _people(family: Family) -> str:
    return "IPv4" if family is Family.IPV4 else "IPv6"
