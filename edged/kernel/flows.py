"""The seam to the connections that rules have marked: `Flows` is what edged sees of them, `LinuxFlows` is conntrack."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Protocol

from edged.addresses import Family
from edged.kernel import uapi
from edged.kernel.conntrack import Conntrack, Name
from edged.kernel.flowmessages import decode
from edged.tracked import Tracked

_FAMILIES = {Family.IPV4: uapi.NFPROTO_IPV4, Family.IPV6: uapi.NFPROTO_IPV6}


class Flows(Protocol):
    """All that edged asks of the kernel about connections."""

    def marked(self, mask: int, value: int) -> tuple[Tracked, ...]:
        """The connections whose marks hold `value` in the bits `mask`. Raises KernelError.

        While the kernel resizes its table, some may be missing from one answer, or be in it twice.
        """
        ...

    def mark(self, flows: Iterable[Tracked], mask: int, value: int) -> None:
        """Set the bits `mask` of their marks to `value`, leaving the others; one that has ended meanwhile is passed over.

        Raises ValueError where `value` has other bits than `mask`, KernelError where the kernel refuses; some are marked then.
        """
        ...


class LinuxFlows:
    """The connections of one network namespace; each call has a socket of its own, and meets nothing that another left behind."""

    def __init__(self, netns: str | None = None) -> None:
        """Of the present or the named network namespace."""
        self._netns = netns

    def marked(self, mask: int, value: int) -> tuple[Tracked, ...]:
        """The connections whose marks hold `value` in the bits `mask`. Raises KernelError."""
        with closing(Conntrack(self._netns)) as conntrack:
            found = (decode(connection) for connection in conntrack.carrying(mask, value))
            return tuple(flow for flow in found if flow is not None)

    def mark(self, flows: Iterable[Tracked], mask: int, value: int) -> None:
        """Set the bits `mask` of their marks to `value`. Raises ValueError, KernelError."""
        with closing(Conntrack(self._netns)) as conntrack:
            conntrack.set_marks([Name(_FAMILIES[flow.family], flow.key) for flow in flows], mask, value)
