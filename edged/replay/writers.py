"""The files of `--packets` and `--flows`: one line a packet, one row a flow, the same bytes for the same captures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Literal, NamedTuple, TextIO

from edged.inspect.sight import TrafficClass
from edged.replay.printable import printable
from edged.replay.verdict import Judged

_SECOND = 1_000_000_000

FLOW_COLUMNS = (
    "file",
    "proto",
    "client",
    "cport",
    "server",
    "sport",
    "class",
    "hostname",
    "policy",
    "verdict",
    "packets",
    "bytes",
)


class PacketsWriter:
    """Writes JSON lines, a packet each: capture, n, ts, verdict, policy, rule, class."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._quoted: dict[str | None, str] = {None: "null"}

    def write(self, judged: Judged) -> None:
        """Write a packet's line; `ts` is a number of seconds since the epoch with nine decimals, which no float is exact to."""
        quoted = self._quote
        (capture, number, nanoseconds, _, _, _, class_, _, _), (verdict, policy, rule, _) = judged
        self._out.write(
            f'{{"capture": {quoted(capture)}, "n": {number}, "ts": {seconds(nanoseconds)}, "verdict": {quoted(verdict)}, '
            f'"policy": {quoted(policy)}, "rule": {quoted(rule)}, "class": {quoted(class_)}}}\n'
        )

    def _quote(self, text: str | None) -> str:
        """The text in JSON; there are few of each kind, so each is quoted once."""
        found = self._quoted.get(text)
        if found is None:
            found = self._quoted[text] = json.dumps(text)
        return found


class FlowRow(NamedTuple):
    """A flow of a capture, by the addresses of its innermost IP header.

    `first` is the capture's place among those given and the number of the flow's first packet in it; `file` is the capture's base
    name. The ports are 0 where the protocol has none.
    """

    first: tuple[int, int]
    file: str
    proto: str
    client: str
    cport: int
    server: str
    sport: int
    class_: TrafficClass | Literal["other"]
    hostname: str | None
    policy: str | None
    verdict: str
    packets: int
    octets: int


class FlowsWriter:
    """Writes CSV, a flow each, below a line that names the columns."""

    def __init__(self, out: TextIO) -> None:
        self._writer = csv.writer(out, lineterminator="\n")

        self._writer.writerow(FLOW_COLUMNS)

    def write(self, rows: Iterable[FlowRow]) -> None:
        """Write flows, in the order given; a None is an empty field, and a row is one line."""
        for row in rows:
            file, hostname = printable(row.file), printable(row.hostname or "")
            self._writer.writerow(row._replace(file=file, hostname=hostname)[1:])


def seconds(nanoseconds: int) -> str:
    """The nanoseconds as seconds with nine decimals."""
    whole, rest = divmod(abs(nanoseconds), _SECOND)
    return f"{'-' * (nanoseconds < 0)}{whole}.{rest:09d}"
