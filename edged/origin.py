"""Where in the operator's files something stands: the file:line that errors, rules and `explain` name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in the configuration; `file` is the path as the operator would write it, lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Places(Protocol):
    """The places of one file's keys."""

    def at(self, *path: str | int) -> Origin:
        """The place of that key or list item, or of the nearest one around it that the file has."""
        ...
