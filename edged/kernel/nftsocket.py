"""The netlink socket to nftables: requests, dumps and transactions, with the kernel's errors in words.

The socket owns the tables it makes with the owner flag, by its netlink port: all writes go through this one, and it can be
handed over as a file descriptor (systemd keeps it over a restart).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import number
from edged.kernel.batch import Batch
from edged.kernel.messages import Refusal, Reply, nft, pack, refusal, unpack
from edged.kernel.namespace import open_nftables
from edged.kernel.receiving import drain
from edged.kernel.refusals import advice, commit_refused, reading_refused, unanswered, unsent

_SO_SNDBUFFORCE = 32  # asm-generic/socket.h
_SNDBUF_MAX = 2147483646
_RECEIVE_SIZE = 256 * 1024  # a buffer of 16 KiB silently cut dumps in half
_ANSWER_SECONDS = 10  # the kernel answers before send returns; only a broken one lets this pass


class DumpTornError(Exception):
    """A commit came in while the kernel was listing; the list is of no single generation."""


class NftSocket:
    """A netlink socket to nftables, for one thread at a time."""

    def __init__(self, netns: str | None = None, fileno: int | None = None) -> None:
        """Open one in the present or the named network namespace, or take over an inherited descriptor. Raises KernelError."""
        self._socket = open_nftables(netns) if fileno is None else _inherited(fileno)
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
        self._buffer = memoryview(bytearray(_RECEIVE_SIZE))
        self._sequence = 0
        self.resumptions = 0  # how many dumps came in parts
        self._errors_waiting()  # what a former holder of the descriptor did not come to read

    @property
    def port(self) -> int:
        """The netlink port, by which the kernel knows the owner of a table."""
        address: tuple[int, int] = self._socket.getsockname()
        return address[0]

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the descriptor; the kernel lets go of what this port owns once no copy of it is open."""
        self._socket.close()

    # --- reading ---

    def generation(self) -> int:
        """The ruleset's generation id. Raises KernelError."""
        answer = self.get(uapi.Msg.GETGEN, b"")
        return number(answer.get(uapi.GenAttr.ID)) if answer else 0

    def get(self, kind: int, body: bytes) -> dict[int, bytes] | None:
        """The attributes of one object; None where there is no such object. Raises KernelError."""
        sequence = self._request(kind, uapi.NLM_F_REQUEST, body, uapi.NFPROTO_INET)
        while True:
            for reply in self._receive():
                if reply.sequence == sequence:
                    if reply.kind != uapi.NLMSG_ERROR:
                        return reply.attributes
                    self._raise_unless(errno.ENOENT, reply)
                    return None

    def dump(self, kind: int, body: bytes = b"", family: int = uapi.NFPROTO_INET) -> list[Reply]:
        """All objects of a kind. Raises DumpTornError where a commit came in between, KernelError.

        The kernel gives a long dump in parts and finds its place again by counting, also what others' transactions have put
        there for the time being: where one was taken back in between (a dry run), it skips or repeats, and no flag and no
        generation tells. `resumptions` counts the dumps that came in parts.
        """
        sequence = self._request(kind, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, body, family)
        found: list[Reply] = []
        parts = 0
        torn = False
        while True:
            had = len(found)
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                torn = torn or bool(reply.flags & uapi.NLM_F_DUMP_INTR)
                if reply.kind == uapi.NLMSG_ERROR:
                    self._raise_unless(errno.ENOENT, reply)  # the table or set went away between two dumps
                    raise DumpTornError
                if reply.kind != uapi.NLMSG_DONE:
                    found.append(reply)
                elif torn:
                    raise DumpTornError
                else:
                    self.resumptions += parts + (len(found) > had) > 1  # a part may hold but the end
                    return found
            parts += len(found) > had

    def _request(self, kind: int, flags: int, body: bytes, family: int) -> int:
        self._sequence += 1
        try:
            self._socket.send(pack(nft(kind), flags, self._sequence, body, family=family))
        except OSError as failed:
            raise unsent("nftables", failed) from failed
        return self._sequence

    def _receive(self) -> Iterator[Reply]:
        try:
            size = self._socket.recv_into(self._buffer)
        except OSError as failed:
            drain(self._socket, self._buffer)
            raise unanswered("nftables", failed) from failed
        return unpack(self._buffer[:size])

    @staticmethod
    def _raise_unless(expected: int, reply: Reply) -> None:
        refused = refusal(reply)
        if refused is not None and refused.errno != expected:
            raise reading_refused(refused.errno, refused.explanation)

    # --- writing ---

    def commit(self, batch: Batch) -> None:
        """Carry the batch out, all of it or nothing.

        Raises StalePlan where the batch was worked out for another generation, TableHeld where another process owns the
        table, KernelError where the kernel refuses a message.
        """
        before = self.generation()
        first = self._next_sequences(batch)
        answers_lost = self._transact(batch, first, batch.encode(first))
        # ENOBUFS says that answers were dropped, not that the batch was: the generation says whether it was carried out.
        if answers_lost and self.generation() == before:
            lost = "the kernel refused the batch, and its reasons were lost (ENOBUFS); nothing was applied"
            raise KernelError(f"{lost}{advice(errno.ENOBUFS)}", errno=errno.ENOBUFS)

    def settle(self) -> None:
        """Return once no transaction of anybody is under way, by an empty one that waits for its turn.

        One that ends has its generation before interval sets show its elements, and one that is being prepared makes dumps give
        rules twice while the generation stands (both seen on Linux 6.18). So a dump is trusted only between two of these.
        """
        self.commit(Batch(()))

    def judge(self, batch: Batch) -> None:
        """Let the kernel judge the batch and take it back. Raises as commit does."""
        first = self._next_sequences(batch)
        self._transact(batch, first, batch.encode_dry(first))

    def _next_sequences(self, batch: Batch) -> int:
        first = self._sequence + 1
        self._sequence += len(batch.messages) + 2
        return first

    def _transact(self, batch: Batch, first: int, encoded: bytes) -> bool:
        """Send a transaction and raise the first error it met; whether answers were lost."""
        self._send_whole(encoded)
        refusals, answers_lost = self._errors_waiting()
        ours = [refused for refused in refusals if first <= refused.sequence < first + len(batch.messages) + 2]
        if ours:
            raise commit_refused(ours[0].errno, batch.label(ours[0].sequence - first), ours[0].explanation, len(ours) - 1)
        return answers_lost

    def _send_whole(self, encoded: bytes) -> None:
        """One batch is one datagram, so it must fit into the send buffer; where it does not, the buffer grows."""
        try:
            try:
                self._socket.send(encoded)
            except OSError as failed:
                if failed.errno != errno.EMSGSIZE:
                    raise
                self._grow_send_buffer(len(encoded))
                self._socket.send(encoded)
        except OSError as failed:
            raise unsent("nftables", failed) from failed

    def _grow_send_buffer(self, size: int) -> None:
        try:
            # the kernel doubles what is asked for
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, min(size // 2 + 4096, _SNDBUF_MAX))
        except OSError as failed:
            raise reading_refused(failed.errno or 0, f"a batch of {size} bytes needs a larger send buffer") from failed

    def _errors_waiting(self) -> tuple[list[Refusal], bool]:
        """The errors that have come by now: nftables answers a batch before send returns. Whether some were lost."""
        found: list[Refusal] = []
        lost = False
        while True:
            try:
                size = self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found, lost
            except OSError as failed:
                if failed.errno != errno.ENOBUFS:
                    raise unanswered("nftables", failed) from failed
                lost = True
                continue
            errors = (refusal(reply) for reply in unpack(self._buffer[:size]) if reply.kind == uapi.NLMSG_ERROR)
            found += (error for error in errors if error is not None)


def _inherited(fileno: int) -> socket.socket:
    """The socket behind a descriptor. Raises KernelError where it is not a netlink socket to netfilter."""
    try:
        taken = socket.socket(fileno=fileno)
    except OSError as failed:
        raise KernelError(f"the inherited descriptor {fileno} is no socket: {failed}", errno=failed.errno or 0) from failed
    if (taken.family, taken.proto) != (socket.AF_NETLINK, uapi.NETLINK_NETFILTER):
        taken.detach()  # not ours to close
        raise KernelError(f"the inherited descriptor {fileno} is not a netlink socket to netfilter", errno=errno.EINVAL)
    taken.settimeout(None)  # blocking, whatever its former holder wanted
    return taken
