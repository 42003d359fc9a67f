"""Connections in memory, with conntrack's rules for marks; what unit tests use in place of mocks."""

from __future__ import annotations

from collections.abc import Iterable

from edged.tracked import Tracked, Volume


class FakeFlows:
    """A table of connections, empty."""

    def __init__(self) -> None:
        self._flows: dict[bytes, Tracked] = {}

    def begin(self, flow: Tracked) -> None:
        """A connection comes up; one of the same key that was there is gone."""
        self._flows[flow.key] = flow

    def move(self, key: bytes, original: Volume, reply: Volume) -> None:
        """It carries that much more."""
        flow = self._flows[key]
        self._flows[key] = flow._replace(original=_more(flow.original, original), reply=_more(flow.reply, reply))

    def end(self, key: bytes) -> None:
        """It is forgotten."""
        del self._flows[key]

    def marked(self, mask: int, value: int) -> tuple[Tracked, ...]:
        """The connections whose marks hold `value` in the bits `mask`."""
        return tuple(flow for flow in self._flows.values() if flow.mark & mask == value)

    def mark(self, flows: Iterable[Tracked], mask: int, value: int) -> None:
        """Set the bits `mask` of their marks to `value`. Raises ValueError."""
        if value & ~mask:
            raise ValueError(f"not within {mask:#x}: {value:#x}")
        for key in {flow.key for flow in flows} & self._flows.keys():
            flow = self._flows[key]
            self._flows[key] = flow._replace(mark=flow.mark & ~mask | value)


def _more(had: Volume, more: Volume) -> Volume:
    return Volume(had.packets + more.packets, had.octets + more.octets)
