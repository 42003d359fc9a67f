"""The throw-away gateway, programmed: frames in, and what came of each."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from io import FileIO
from pathlib import Path

from edged.enforce import enforce
from edged.errors import KernelError
from edged.kernel import filters, uapi
from edged.kernel.linux import LinuxKernel
from edged.kernel.messages import pack, refusal, unpack
from edged.kernel.namespace import inside, open_nftables
from edged.kernel.nftsocket import NftSocket
from edged.policies import Site
from edged.replay.arrival import Side
from edged.replay.kernel import network, tracer
from edged.replay.kernel.wire import HEARD
from edged.ruleset.plan import Desired
from edged.ruleset.tree import Rule, Table

MOST_FRAMES = 256  # at once: well below net.core.netdev_max_backlog, so none of them can be dropped on the way in

_ETH_P_ALL, _END = 3, 0x88B5  # IEEE 802's local experimental ethertype
_END_BYTES = _END.to_bytes(2, "big")
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_MARK, _SO_RCVMARK = 32, 33, 36, 75
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_BUFFER = 64 << 20
_MARK_ROOM = socket.CMSG_SPACE(4)
_CT_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_WAIT_SECONDS = 10  # for what the kernel does before `send` returns, or a moment after (ksoftirqd)
_TX_DROPPED = 11  # the field of /proc/net/dev after the name


class Gateway:
    """One gateway, from its making to `close`; `piece` is Numbers.piece. Raises EdgedError where it cannot be made."""

    def __init__(self, table: Table, site: Site, clock: Callable[[], float], piece: int) -> None:
        self._opened = ExitStack()
        made = network.build(site)
        try:
            self._open(made, table, clock, piece)
        except BaseException:
            self.close()
            raise
        finally:
            network.remove(made)  # the sockets hold the namespaces
        self._addresses = {Side.ACCESS: made.interfaces[made.access], Side.UPSTREAM: made.interfaces[made.upstream]}

    def _open(self, made: network.Network, table: Table, clock: Callable[[], float], piece: int) -> None:
        keep = self._opened.enter_context
        kernel = keep(closing(LinuxKernel(made.gateway, clock=clock)))
        enforce(kernel, Desired(table, queue=kernel.capabilities().queue), clock)
        network.program_conntrack(made)
        with closing(NftSocket(made.gateway)) as nft:
            tracer.program(nft, piece)
            self.rules: dict[int, Rule] = tracer.rules_by_handle(nft, table)
        self._traces = keep(closing(tracer.Traces(made.gateway)))
        self._conntrack = keep(open_nftables(made.gateway))
        self._count = keep(_open_there(made.gateway, "/proc/sys/net/netfilter/nf_conntrack_count"))
        self._limit = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
        self._devices = keep(_open_there(made.far, "/proc/thread-self/net/dev"))
        self._into = {Side.ACCESS: keep(_sender(made.far, made.access)), Side.UPSTREAM: keep(_sender(made.far, made.upstream))}
        self._heard = keep(_listener(made.gateway))

    def close(self) -> None:
        """Let go of the gateway, which ends it."""
        self._opened.close()

    def address(self, side: Side) -> bytes:
        """The link-layer address of the interface on that side."""
        return self._addresses[side]

    def forget_connections(self) -> None:
        """Empty conntrack. Raises KernelError."""
        flags = uapi.NLM_F_REQUEST | 4  # NLM_F_ACK
        self._conntrack.send(pack(_CT_DELETE, flags, 1, b"", family=uapi.NFPROTO_UNSPEC))
        for reply in unpack(memoryview(self._conntrack.recv(1 << 16))):
            refused = refusal(reply)
            if refused is not None:
                raise KernelError(f"conntrack cannot be emptied: {os.strerror(refused.errno)}", errno=refused.errno)

    def send(self, frames: Sequence[tuple[Side, bytes]]) -> None:
        """Send the frames in, at most MOST_FRAMES, one behind the other. Raises KernelError; `heard` tells what was lost."""
        self._expect_room(len(frames))
        with _on_one_processor():
            try:
                for side, frame in frames:
                    self._into[side].send(frame)
                end = self._addresses[Side.ACCESS] + bytes(6) + _END_BYTES
                self._into[Side.ACCESS].send(end.ljust(60, b"\0"))
            except OSError as failed:
                raise KernelError(f"a packet cannot be sent into the gateway: {failed}", errno=failed.errno or 0) from failed

    def heard(self) -> Iterator[tuple[int, bytes]]:
        """Mark and first bytes of each frame that left the gateway, up to the end of what was sent.

        Raises KernelError where a frame was lost, on its way in or after it.
        """
        while True:
            try:
                frame, controls, _, _ = self._heard.recvmsg(HEARD, _MARK_ROOM)
            except OSError as failed:
                self._expect_nothing_lost()
                raise KernelError(f"the gateway's frames cannot be heard: {failed}", errno=failed.errno or 0) from failed
            if frame[12:14] == _END_BYTES:
                break
            for level, kind, mark in controls:
                if (level, kind) == (socket.SOL_SOCKET, _SO_MARK):
                    yield int.from_bytes(mark, sys.byteorder), frame
        self._expect_nothing_lost()

    def events(self) -> Iterator[tracer.Event]:
        """The rules that matched what was sent, in order; to be read after `heard`. Raises KernelError."""
        return self._traces.read()

    def _expect_room(self, frames: int) -> None:
        self._count.seek(0)
        known = int(self._count.read())
        if known + frames > self._limit:
            raise KernelError(
                f"conntrack has no room for more connections: the capture has {known}, the machine allows {self._limit}; "
                f"sysctl -w net.netfilter.nf_conntrack_max={self._limit * 4}"
            )

    def _expect_nothing_lost(self) -> None:
        unheard = struct.unpack("=II", self._heard.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._devices.seek(0)
        unsent = sum(int(line.split(b":")[1].split()[_TX_DROPPED]) for line in self._devices.readlines()[2:])
        if unheard or unsent:
            raise KernelError(
                f"the machine is too busy for a replay: {unsent} packets were lost before the gateway, {unheard} after it; "
                "no verdict can be told without them",
                errno=errno.ENOBUFS,
            )


def _open_there(netns: str, path: str) -> FileIO:
    """A file of the namespace, which stays that while it is open."""
    return inside(netns, lambda: FileIO(path))


def _sender(netns: str, interface: str) -> socket.socket:
    opened = inside(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
    opened.bind((interface, 0))
    return opened


def _listener(netns: str) -> socket.socket:
    """A socket that hears what leaves, with its mark."""
    opened = inside(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)))
    filters.attach(opened, filters.outgoing_or(_END, HEARD))
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    opened.settimeout(_WAIT_SECONDS)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVMARK, 1)
    except OSError as failed:
        opened.close()
        raise KernelError("the kernel engine needs Linux 6.0 or newer (SO_RCVMARK); the model engine needs nothing") from failed
    return opened


@contextmanager
def _on_one_processor() -> Iterator[None]:
    """What one processor sends over veth it also receives, in order (enqueue_to_backlog in net/core/dev.c)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
