"""What happens in the kernel without our doing: commits of other programs, links that come and go, changes of queueing.

The listeners are read without waiting; their `fileno()` goes into an event loop. A listener that was too slow loses events
(ENOBUFS): `lost` says so, and whoever reads then looks at the state itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import number, string, text
from edged.kernel.messages import Reply, nft, unpack
from edged.kernel.namespace import open_nftables, open_route

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_RECEIVE_BUFFER = 4 * 1024 * 1024  # one element more in a big set is one event more
_BUFFER_SIZE = 256 * 1024
# the first attribute of each object's message: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and so on, all 1 (nf_tables_fill_*_info)
_OUR_TABLE = text(1, "edged")[:10]  # without its padding


class Listener:
    """A netlink socket that is a member of multicast groups."""

    def __init__(self, opened: socket.socket, *groups: int) -> None:
        self._socket = opened
        self._groups = groups
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            self._join(uapi.NETLINK_ADD_MEMBERSHIP)
        except OSError as failed:
            self._socket.close()
            raise KernelError(f"cannot listen to the kernel's events: {failed}", errno=failed.errno or 0) from failed
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self.lost = False

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Hear nothing meanwhile; what happened then counts as lost.

        Raises nothing of its own: the work in it is done or refused whether or not anybody listens, and who is deaf from then on
        polls.
        """
        with suppress(OSError):
            self._join(uapi.NETLINK_DROP_MEMBERSHIP)
        try:
            yield
        finally:
            with suppress(OSError):
                self._join(uapi.NETLINK_ADD_MEMBERSHIP)

    def fileno(self) -> int:
        """The descriptor; readable when there is something to read."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _join(self, option: int) -> None:
        for group in self._groups:
            self._socket.setsockopt(uapi.SOL_NETLINK, option, group)

    def _waiting(self) -> Iterator[Reply]:
        """The messages that have come; `lost` tells whether others were lost since the last time."""
        self.lost = False
        while True:
            try:
                size = self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as failed:
                if failed.errno != errno.ENOBUFS:
                    raise KernelError(f"cannot read the kernel's events: {failed}", errno=failed.errno or 0) from failed
                self.lost = True
                continue
            yield from unpack(self._buffer[:size])


@dataclass(frozen=True, slots=True)
class GenerationChange:
    """A commit to the ruleset, and the process that made it.

    The pid is that of the machine's first PID namespace: inside a container one's own looks like another's. One's own commits
    are known by the generation that `Kernel.apply` gave. `ours`: it changed edged's table, or may have, since events were lost.
    """

    generation: int
    pid: int
    process: str
    ours: bool


_FLOWTABLES = frozenset((nft(uapi.Msg.NEWFLOWTABLE), nft(uapi.Msg.DELFLOWTABLE)))
_GENERATION = nft(uapi.Msg.NEWGEN)


class NftEvents(Listener):
    """Commits to the ruleset, one's own among them.

    A table that goes because its owner's socket closed is not a commit: the kernel tells of it without a new generation.
    """

    def __init__(self, netns: str | None = None) -> None:
        """Listen in the present or the named network namespace. Raises KernelError."""
        super().__init__(open_nftables(netns), uapi.NFNLGRP_NFTABLES)
        self._ours = False  # what has been told of the commit whose NEWGEN is still to come
        self.bypass_changed = False  # what the last reading heard of flowtables, or of rules where packets come in

    def read(self) -> list[GenerationChange]:
        """The commits since the last time, oldest first."""
        changes = []
        self.bypass_changed = False
        for event in self._waiting():
            if event.kind in _FLOWTABLES or event.family == uapi.NFPROTO_NETDEV:
                self.bypass_changed = True
            # a commit's objects are told before its generation (nf_tables_commit)
            if event.kind == _GENERATION:
                fields = event.attributes
                pid = number(fields.get(uapi.GenAttr.PROC_PID))
                process = string(fields.get(uapi.GenAttr.PROC_NAME))
                generation = number(fields.get(uapi.GenAttr.ID))
                changes.append(GenerationChange(generation, pid, process, self._ours or self.lost))
                self._ours = False
            elif event.family == uapi.NFPROTO_INET and event.body.startswith(_OUR_TABLE, 4):
                self._ours = True
        return changes


RTNLGRP_LINK = 1  # linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK = 16, 17


class LinkEvents(Listener):
    """Links that appear, vanish, change their state or their name."""

    def __init__(self, netns: str | None = None) -> None:
        """Listen in the present or the named network namespace. Raises KernelError."""
        super().__init__(open_route(netns), RTNLGRP_LINK)

    def read(self) -> bool:
        """Whether anything about the links changed, or may have (`lost`), since the last time."""
        kinds = {event.kind for event in self._waiting()}
        return self.lost or not kinds.isdisjoint((RTM_NEWLINK, RTM_DELLINK))
