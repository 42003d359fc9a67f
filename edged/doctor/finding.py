"""A finding: what was looked for, what is there, and what that means for the policies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How a finding bears on the policies."""

    OK = "ok"
    WARN = "warn"  # works; somebody should know
    MISSING = "missing"  # edged does less than the files ask for


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question; `instead` says what edged does where it is not all well, or what to do."""

    area: str
    name: str
    grade: Grade
    found: str
    purpose: str = ""
    instead: str = ""
    weakens: tuple[int, ...] = ()  # the numbers of the promises that hold less for it (promises.py)
