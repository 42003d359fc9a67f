"""What can be wrong with a configuration: a finding about a key, and a problem, which is a finding with its place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edged.errors import EdgedError, ExitCode

KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 60


class Severity(Enum):
    """Whether a problem keeps the configuration from being used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to say about a key of one file; `other` is a second key of that file which the message ends with."""

    path: KeyPath
    message: str
    severity: Severity = Severity.ERROR
    other: KeyPath | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding with its place; lines and columns count from 1, `path` is the key's dotted name or empty."""

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        parts = [f"{self.file}:{self.line}:{self.column}"]
        if self.path:
            parts.append(self.path)
        if self.severity is Severity.WARNING:
            parts.append("warning")
        return ": ".join((*parts, self.message))


class InvalidConfiguration(EdgedError):
    """The files are wrong, and nothing was changed; `problems` holds every error and warning of all files."""

    exit_code = ExitCode.INVALID
    problems: tuple[Problem, ...]

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def dotted(path: KeyPath) -> str:
    """The path as people write it: `exempt.subscribers[0].until`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if step.replace("_", "").replace("-", "").isalnum() and len(step) <= _LONGEST_SHOWN else shown(step)
            text += f".{name}" if text else name
    return text


def shown(value: object) -> str:
    """A value from a file on one line, short and harmless to a terminal."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case str():
            # repr escapes what cannot be seen: control characters, no-break and ideographic spaces, bidirectional marks
            return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[: _LONGEST_SHOWN - 3]}...")
        case _:
            return str(value)


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that `word` was most likely meant to be."""
    from difflib import get_close_matches  # noqa: PLC0415  a good file never pays for it

    found = get_close_matches(word.strip().lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None
