"""One way to print what was measured, and to say whether a promise is kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

WIDTH = 62


class Table:
    """Rows of medians, printed as they come; `held` is false once one promise was not kept."""

    def __init__(self) -> None:
        self.held = True

    def head(self, title: str, unit: str, peer: str = "") -> None:
        """The head of a part of the table; `peer` is what ratios are taken to."""
        print(f"\n{f'{title}, {unit}':{WIDTH}}{'median':>9}{'min':>9}{'max':>9}{f'/ {peer}' if peer else '':>10}   target")

    def row(self, name: str, found: Sequence[float], most: float | None = None, unit: str = "") -> None:
        """Figures, and how much their median may be."""
        self._print(name, found, "", f"<= {most:g} {unit}" if most is not None else "", most, statistics.median(found))

    def against(self, name: str, found: Sequence[float], peer: Sequence[float], most: float | None = None) -> None:
        """Figures beside their peer's of the same rounds, and how much the median of the rounds' ratios may be."""
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found, peer, strict=True))
        self._print(name, found, f"{ratio:.2f}", f"<= {most:.2f}" if most is not None else "", most, ratio)

    def say(self, name: str, value: str, *, held: bool | None = None) -> None:
        """Something that is no figure, and whether it is as promised; None: nothing is."""
        self.held = self.held and held is not False
        print(f"{name:{WIDTH}}{value:>27}{'':13}{_verdict(held)}".rstrip())

    def _print(self, name: str, found: Sequence[float], ratio: str, target: str, most: float | None, value: float) -> None:
        held = None if most is None else value <= most
        self.held = self.held and held is not False
        figures = "".join(f"{_short(each):>9}" for each in (statistics.median(found), min(found), max(found)))
        print(f"{name:{WIDTH}}{figures}{ratio:>10}   {target:12}{_verdict(held)}".rstrip())


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def _verdict(held: bool | None) -> str:  # noqa: FBT001  it is the argument
    return {None: "", True: "held", False: "NOT HELD"}[held]
