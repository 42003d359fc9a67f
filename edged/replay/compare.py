"""Two policies over the same captures: the flows of which the verdict differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edged.replay.writers import FlowRow


class Differing(NamedTuple):
    """A flow, as each policy leaves it."""

    old: FlowRow
    new: FlowRow

    def __str__(self) -> str:
        flow = self.old
        ends = f"{flow.proto} {_end(flow.client, flow.cport)} -> {_end(flow.server, flow.sport)}"
        return f"{flow.file}: {ends}: {_left(self.old)} -> {_left(self.new)}, {flow.packets} packets"

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        flow = self.old
        ends = {"proto": flow.proto, "client": flow.client, "cport": flow.cport, "server": flow.server, "sport": flow.sport}
        before = {"verdict": flow.verdict, "policy": flow.policy or None}
        after = {"verdict": self.new.verdict, "policy": self.new.policy or None}
        return {"file": flow.file, **ends, "packets": flow.packets, "old": before, "new": after}


def differing(old: Sequence[FlowRow], new: Sequence[FlowRow]) -> Iterator[Differing]:
    """The flows that the two policies treat differently, in the order of the captures; both saw the same packets."""
    by_first = {row.first: row for row in new}
    for row in old:
        other = by_first[row.first]
        if (row.verdict, row.policy) != (other.verdict, other.policy):
            yield Differing(row, other)


def _end(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _left(row: FlowRow) -> str:
    return f"{row.verdict} ({row.policy})" if row.policy else row.verdict
