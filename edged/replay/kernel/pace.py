"""No faster than the policy's rates: a replay is faster than what it replays, and for that alone no limit shall bite."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from edged.ruleset.nodes import Goto, Jump, RateAbove
from edged.ruleset.tree import Rule, Table


@dataclass(slots=True)
class _Bucket:
    """A token bucket as the kernel keeps one (net/netfilter/nft_limit.c), never fuller than the kernel's."""

    per_second: int
    burst: int
    tokens: float
    filled: float

    def fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.per_second)
        self.filled = now


class Pace:
    """Waits until so many packets fit into every rate of a table."""

    def __init__(self, table: Table) -> None:
        now = time.monotonic()
        self._into: dict[str, list[_Bucket]] = {}  # by the rules that lead to a rate
        self._always: list[_Bucket] = []
        for chain in table.chains:
            rates = [match for rule in chain.rules for match in rule.when if isinstance(match, RateAbove)]
            buckets = [_Bucket(rate.per_second, rate.burst, rate.burst, now) for rate in rates]
            if chain.hook is not None:
                self._always += buckets
            for rule in table.rules():
                if buckets and isinstance(rule.then, Jump | Goto) and rule.then.chain == chain.name:
                    self._into.setdefault(rule.name, []).extend(buckets)
        self._buckets = [*self._always, *{id(each): each for found in self._into.values() for each in found}.values()]

    @property
    def most(self) -> int:
        """The most packets that may be asked for at once."""
        return min((bucket.burst for bucket in self._buckets), default=1 << 31)

    def wait(self, packets: int) -> None:
        """Return when so many packets, not more than `most`, are below every rate."""
        for bucket in self._buckets:
            bucket.fill(time.monotonic())
            if bucket.tokens < packets:
                time.sleep((packets - bucket.tokens) / bucket.per_second)
                bucket.fill(time.monotonic())

    def spend(self, matched: Iterable[Rule]) -> None:
        """A packet came by these rules."""
        for bucket in self._always:
            bucket.tokens -= 1
        for rule in matched:
            for bucket in self._into.get(rule.name, ()):
                bucket.tokens -= 1
