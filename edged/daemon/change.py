"""A change of the policy in force: what it did, and what it needs of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from edged.enforce import Enforced
from edged.loader import Configuration
from edged.ruleset.plan import describe

Answer = TypeVar("Answer")


class InWriter(Protocol):
    """Runs a call in the one thread that writes to the kernel."""

    def __call__(self, call: Callable[[], Answer], /) -> Awaitable[Answer]:
        """What the call returned, or raised."""
        ...


class Lists(Protocol):
    """The lists of a configuration; whatever becomes of their sources, neither call raises."""

    def in_force(self, configuration: Configuration, /) -> Configuration:
        """The configuration with the lists as they were last accepted."""
        ...

    def refreshed(self, configuration: Configuration, /) -> Configuration:
        """The configuration with the lists read anew where their sources changed."""
        ...

    @property
    def refused(self) -> tuple[str, ...]:
        """Each list whose source, as it is now, is not in force, and why."""
        ...

    def forget_others(self, configuration: Configuration, /) -> None:
        """Drop what belongs to no list of the configuration."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What a change did to the kernel, for who asked for it."""

    enforced: Enforced
    warnings: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # lists whose guards did not let them through, and why

    @property
    def steps(self) -> tuple[str, ...]:
        """Each step as a line for people."""
        return tuple(describe(step) for step in self.enforced.plan.steps)
