"""What others do to devices and their queueing, as the kernel tells it while it happens."""

from __future__ import annotations

import struct
from typing import NamedTuple

from edged.kernel import filters
from edged.kernel.events import RTM_DELLINK, RTM_NEWLINK, RTNLGRP_LINK, Listener
from edged.kernel.namespace import open_route
from edged.kernel.tcmessages import DELQDISC, DELTCLASS, NEWQDISC, NEWTCLASS

_RTNLGRP_TC = 4  # linux/rtnetlink.h
_KINDS = (RTM_NEWLINK, RTM_DELLINK, NEWQDISC, DELQDISC, NEWTCLASS, DELTCLASS)
_INDEX = struct.Struct("=i")  # at the same place in struct ifinfomsg and struct tcmsg
_INDEX_AT = 4


class Touch(NamedTuple):
    """Somebody changed the device with this number, or a qdisc or class on it.

    `port` is the netlink port that asked for it, 0 where none did or the kernel does not tell. A program's first netlink socket
    has its pid for a port, unless it chose another one (netlink_autobind).
    """

    ifindex: int
    port: int


class TreeEvents(Listener):
    """Links, qdiscs and classes that come, change and go; what the port `own` asked for is not among them.

    The kernel leaves those out by a filter, so making a pool of thousands of classes wakes nobody.
    """

    def __init__(self, own: int, netns: str | None = None) -> None:
        """Listen in the present or the named network namespace. Raises KernelError."""
        super().__init__(open_route(netns), RTNLGRP_LINK, _RTNLGRP_TC)
        filters.attach(self._socket, filters.of_others(_KINDS, own))

    def read(self) -> list[Touch]:
        """What was changed since the last time, oldest first; `lost` tells whether there was more."""
        events = (event for event in self._waiting() if event.kind in _KINDS and len(event.body) >= _INDEX_AT + _INDEX.size)
        return [Touch(_INDEX.unpack_from(event.body, _INDEX_AT)[0], event.port) for event in events]
