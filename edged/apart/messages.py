"""What the daemon and the process that reads a list tell each other: an order on the command line, an answer in JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias

from edged.sources.formats import CsvFormat, Format, Plain, SpamhausDrop
from edged.sources.parsed import BadLine, ListRefused, Parsed, Reason

LONGEST_ANSWER = 64 * 1024
_LONGEST_TEXT = 1000
_MOST_BAD = 100
_KINDS: dict[str, type[Format]] = {each.__name__: each for each in (Plain, SpamhausDrop, CsvFormat)}


@dataclass(frozen=True, slots=True)
class Order:
    """How to read the list; of what is not to be shown no message tells."""

    format: Format
    show: bool
    largest: int

    def argument(self) -> str:
        """The order as it is sent."""
        return json.dumps([type(self.format).__name__, asdict(self.format), self.show, self.largest])


@dataclass(frozen=True, slots=True)
class Read:
    """The list was read; its entries are in the file beside."""

    bad: tuple[BadLine, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The list could not be read, for a reason that is not the list's."""

    text: str


Answer: TypeAlias = Read | ListRefused | Failed


def order_of(argument: str) -> Order:
    """The order that was sent so."""
    kind, settings, show, largest = json.loads(argument)
    return Order(_KINDS[kind](**settings), show, largest)


def line_of(answer: Parsed | ListRefused | Failed) -> bytes:
    """An answer as it is sent."""
    match answer:
        case Parsed(bad=bad):
            said: object = {"read": [[each.line, each.message] for each in bad]}
        case ListRefused():
            said = {"refused": [str(answer), answer.reason.value, answer.line]}
        case Failed(text):
            said = {"failed": text}
    return json.dumps(said).encode()


def understood(line: bytes) -> Answer:
    """The answer that was sent so, by a process that may have been taken over. Raises ValueError where it is none."""
    match json.loads(line):
        case {"read": list(bad)} if len(bad) <= _MOST_BAD:
            return Read(tuple(_bad_line(each) for each in bad))
        case {"refused": [str(text), str(reason), int() | None as number]}:
            return ListRefused(_shown(text), Reason(reason), number)
        case {"failed": str(text)}:
            return Failed(_shown(text))
        case _:
            raise ValueError("an object of another kind")


def _bad_line(said: object) -> BadLine:
    match said:
        case [int(number), str(message)]:
            return BadLine(number, _shown(message))
        case _:
            raise ValueError("no line")


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:_LONGEST_TEXT]
