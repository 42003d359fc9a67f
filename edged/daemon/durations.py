"""How long something takes, as a Prometheus histogram counts it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Durations:
    """Observations in seconds: how many fell into each bucket (the last one has no upper bound), and their sum."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def with_one(self, seconds: float) -> Durations:
        """These and one more."""
        at = bisect_left(BOUNDS, seconds)
        return Durations((*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :]), self.total + seconds)

    def cumulative(self) -> tuple[tuple[str, float], ...]:
        """Prometheus' form: upper bound as its label, and how many were not above it."""
        labels = [*map(str, BOUNDS), "+Inf"]
        return tuple((label, float(sum(self.counts[: index + 1]))) for index, label in enumerate(labels))
