"""Batches: one transaction of the kernel, its messages numbered so that an error names the step that met it."""

from __future__ import annotations

from dataclasses import dataclass

from edged.kernel import uapi
from edged.kernel.attrs import be32
from edged.kernel.messages import nft, pack


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a batch: an NFT_MSG_* with its attributes, and what people call it."""

    kind: int
    flags: int
    body: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of one transaction, and the generation it was worked out for.

    The kernel refuses the whole batch (ERESTART) where that generation has passed; None takes any.
    """

    messages: tuple[Message, ...]
    generation: int | None = None

    def encode(self, first: int) -> bytes:
        """The transaction, its BATCH_BEGIN numbered `first` and each message one more."""
        return self.encode_dry(first) + self._bracket(uapi.NFNL_BATCH_END, first + len(self.messages) + 1, b"")

    def encode_dry(self, first: int) -> bytes:
        """The same without its BATCH_END: the kernel judges it all, then takes it back (as `nft -c` does)."""
        condition = b"" if self.generation is None else be32(uapi.NFNL_BATCH_GENID, self.generation)
        begin = self._bracket(uapi.NFNL_BATCH_BEGIN, first, condition)
        return begin + b"".join(
            pack(nft(message.kind), uapi.NLM_F_REQUEST | message.flags, first + index, message.body)
            for index, message in enumerate(self.messages, start=1)
        )

    def label(self, position: int) -> str:
        """What people call the message at that distance from BATCH_BEGIN; "" for the bracket itself."""
        return self.messages[position - 1].label if 1 <= position <= len(self.messages) else ""

    @staticmethod
    def _bracket(kind: int, sequence: int, body: bytes) -> bytes:
        family = uapi.NFPROTO_UNSPEC
        return pack(kind, uapi.NLM_F_REQUEST, sequence, body, family=family, resource=uapi.NFNL_SUBSYS_NFTABLES)
