"""A fuzz target: a parser of what a stranger sends, as a function of any bytes, and inputs to begin from.

`run` raises where the parser does, or where its answer is not one of its answers. Each file in `tests/fuzz/targets` has one, as
`TARGET`; `python -m tests.fuzz NAME SECONDS` searches by atheris, guided by what the code does with each input, and writes what
it finds to `tests/fuzz/found/NAME`, from where every later run, short ones too, tries it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
FOUND = FOLDER / "found"
PCAPS = FOLDER.parents[1] / "pcaps"
LONGEST_SEED = 1 << 16


class Target(NamedTuple):
    """`promise` is that of tests/promises.py which the parser is to keep, `p999` the milliseconds that 99.9 % of inputs take."""

    promise: int
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    p999: float = math.inf


def names() -> tuple[str, ...]:
    """The targets there are."""
    return tuple(sorted(path.stem for path in (FOLDER / "targets").glob("*.py")))


def target(name: str) -> Target:
    """The target of that name."""
    made: Target = import_module(f"tests.fuzz.targets.{name}").TARGET
    return made


def found(name: str) -> tuple[bytes, ...]:
    """What a search found before."""
    return tuple(path.read_bytes() for path in sorted((FOUND / name).glob("*")))


def captures() -> Iterator[bytes]:
    """The captures of `pcaps` as files."""
    for path in sorted(PCAPS.rglob("*.pcap*")):
        if path.stat().st_size <= LONGEST_SEED:
            yield path.read_bytes()
