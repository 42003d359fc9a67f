"""Where peers were said to listen: what tells a flow whose bytes are encrypted from their start."""

from __future__ import annotations

from collections.abc import Iterable

from edged.inspect.sight import Endpoint

MINUTE = 60_000_000_000
LIFETIME = 10 * MINUTE
MOST = 65_536


class Endpoints:
    """Endpoints learnt within LIFETIME, MOST of them; at the bound the one that was neither learnt nor asked for longest goes.

    The clock is the caller's, in nanoseconds. An endpoint that is only asked for is not kept alive by that.
    """

    def __init__(self, *, most: int = MOST, lifetime: int = LIFETIME) -> None:
        self._most = most
        self._lifetime = lifetime
        self._until: dict[Endpoint, int] = {}  # in the order of use

    def __len__(self) -> int:
        return len(self._until)

    def learn(self, now: int, peers: Iterable[Endpoint]) -> None:
        """Remember peers from now on."""
        until = self._until
        for peer in peers:
            until.pop(peer, None)
            until[peer] = now + self._lifetime
        while len(until) > self._most:
            del until[next(iter(until))]

    def knows(self, now: int, endpoint: Endpoint) -> bool:
        """Whether a peer was said to be there."""
        ends = self._until.pop(endpoint, None)
        if ends is None or ends <= now:
            return False
        self._until[endpoint] = ends
        return True
