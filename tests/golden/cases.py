"""The golden configurations: a folder each, with edged.yaml, rules.d and the text they render to.

`shipped` has no files of its own: it is the example in `rules/`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edged.loader import Configuration, load

RENDER = Path(__file__).parent / "render"
SHIPPED = Path(__file__).parents[2] / "rules" / "edged.yaml"
MOMENT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

CASES = sorted(path.name for path in RENDER.iterdir())


def configuration(case: str) -> Configuration:
    """The configuration of that folder, at MOMENT."""
    return load(SHIPPED if case == "shipped" else RENDER / case / "edged.yaml", now=MOMENT)


def expected(case: str) -> Path:
    """The file that holds what it renders to."""
    return RENDER / case / "expected.nft"
