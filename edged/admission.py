"""Who may stay connected to a listener: so many at once, and each so long until it was answered; pure.

A newcomer takes the place of the one that has waited longest: whoever opens connections and says nothing closes but its own.
But each has GRACE_SECONDS to ask in, however many come after it, so that who asks at once is answered. What is being answered
is never sent away.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, TypeVar

GRACE_SECONDS = 0.2  # a thread that others keep from its processor may take most of this to read what was asked

Guest = TypeVar("Guest", bound=Hashable)


class Admission(Generic[Guest]):
    """Keeps account of the guests of one listener; `now` is in seconds, and never goes back."""

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._waiting: dict[Guest, float] = {}  # since when, the longest first
        self._answered: set[Guest] = set()  # those being answered

    def wait(self, now: float) -> float:
        """Seconds until a newcomer can be let in; infinite where all who are in are being answered."""
        if len(self._waiting) + len(self._answered) < self._most:
            return 0.0
        longest = next(iter(self._waiting.values()), math.inf)
        return max(0.0, longest + GRACE_SECONDS - now)

    @property
    def guests(self) -> frozenset[Guest]:
        """All who are in."""
        return frozenset((*self._waiting, *self._answered))

    def admit(self, guest: Guest, now: float) -> Guest | None:
        """Let a newcomer in, there being none to wait for, and give who has to go for it."""
        gone = None
        if len(self._waiting) + len(self._answered) >= self._most:
            gone = next(iter(self._waiting), None)
            if gone is not None:
                del self._waiting[gone]
        self._waiting[guest] = now
        return gone

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
