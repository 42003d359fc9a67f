"""Two policies over the same captures: the flows of which the verdict or the class differs."""

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
        changes = [f"{was} -> {becomes}" for was, becomes in self._changes()]
        return f"{flow.file}: {ends}: {'; '.join(changes)}, {flow.packets} packets"

    def _changes(self) -> Iterator[tuple[str, str]]:
        if _treatment(self.old) != _treatment(self.new):
            yield _left(self.old), _left(self.new)
        if self.old.class_ != self.new.class_:
            yield f"class {self.old.class_}", self.new.class_

    def document(self) -> dict[str, object]:
        """The same for `--json`."""
        flow = self.old
        ends = {"proto": flow.proto, "client": flow.client, "cport": flow.cport, "server": flow.server, "sport": flow.sport}
        return {"file": flow.file, **ends, "packets": flow.packets, "old": _document(self.old), "new": _document(self.new)}


def differing(old: Sequence[FlowRow], new: Sequence[FlowRow]) -> Iterator[Differing]:
    """The flows that the two policies stop or take for a class differently, in the captures' order; both saw the same packets."""
    by_first = {row.first: row for row in new}
    for row in old:
        other = by_first[row.first]
        if _treatment(row) != _treatment(other) or row.class_ != other.class_:
            yield Differing(row, other)


def _treatment(row: FlowRow) -> tuple[str, str | None]:
    return row.verdict, row.policy


def _document(row: FlowRow) -> dict[str, object]:
    return {"verdict": row.verdict, "policy": row.policy or None, "class": str(row.class_)}


def _end(address: str, port: int) -> str:
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _left(row: FlowRow) -> str:
    return f"{row.verdict} ({row.policy})" if row.policy else row.verdict
