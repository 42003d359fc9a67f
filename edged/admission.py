"""Who may stay connected to a listener: so many at once, and each so long until it was answered; pure.

A newcomer takes the place of the one that has waited longest: whoever opens connections and says nothing closes but its own.
But each has a time of grace to ask in, however many come after it, and a longer one where it has asked and was not heard yet, so
that who asks at once is answered. What is being answered is never sent away.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_UNHEARD = 10  # times the grace, for those who have said something that nobody has read

Guest = TypeVar("Guest", bound=Hashable)


class Admission(Generic[Guest]):
    """Keeps account of the guests of one listener; `now` is in seconds, and never goes back."""

    def __init__(self, most: int, patience: float, grace: float = 0.0) -> None:
        self._most = most
        self._grace = grace
        self._patience = patience
        self._waiting: dict[Guest, float] = {}  # since when, the longest first
        self._answered: set[Guest] = set()  # those being answered

    @property
    def has_room(self) -> bool:
        """Whether there is a place that nobody has to leave."""
        return len(self._waiting) + len(self._answered) < self._most

    @property
    def is_busy(self) -> bool:
        """Whether as many as there may be are being answered, so that nobody can be sent away."""
        return len(self._answered) >= self._most

    def to_go(self, now: float, is_unheard: Callable[[Guest], bool]) -> Guest | None:
        """Who is to make room for a newcomer; None where nobody can be sent away yet."""
        for guest, since in self._waiting.items():
            waited = now - since
            if waited < self._grace:
                break
            if waited >= _UNHEARD * self._grace or not is_unheard(guest):
                return guest
        return None

    @property
    def guests(self) -> frozenset[Guest]:
        """All who are in."""
        return frozenset((*self._waiting, *self._answered))

    def admit(self, guest: Guest, now: float) -> None:
        """Let a newcomer in, for whom there is room."""
        self._waiting[guest] = now

    def begin(self, guest: Guest) -> None:
        """It has asked, and is being answered; one that was sent away stays so."""
        if self._waiting.pop(guest, None) is not None:
            self._answered.add(guest)

    def end(self, guest: Guest, now: float) -> None:
        """Its answer is there for it to take; it may ask again."""
        if guest in self._answered:
            self._answered.remove(guest)
            self._waiting[guest] = now

    def leave(self, guest: Guest) -> None:
        """It is gone by itself, or was sent away."""
        self._waiting.pop(guest, None)
        self._answered.discard(guest)

    def overdue(self, now: float) -> tuple[Guest, ...]:
        """Those who have taken longer than they may; they have to go."""
        late = tuple(guest for guest, since in self._waiting.items() if now - since > self._patience)
        for guest in late:
            del self._waiting[guest]
        return late
