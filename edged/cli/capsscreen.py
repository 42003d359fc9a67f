"""The part of the status screen about caps: who is held and how, the pools, and the queues to the inspectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from edged.cli.tables import columns

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from edged.control.messages import CapsStatus

_WELL = ("inspecting", "beginning")


def caps_screen(caps: CapsStatus) -> Iterator[RenderableType]:
    """The tables, one after another."""
    yield _capped(caps)
    if caps["directions"]:
        yield _pools(caps)
    if caps["queues"]:
        yield _queues(caps)
    if caps["uninspected"]:
        yield Text(f"{caps['uninspected']:,} packets passed uninspected: their queue was full, or nobody was there")


def _capped(caps: CapsStatus) -> Table:
    table = columns(("capped now",), ("shaped", "policed", "flows found"))
    for each in caps["capped"]:
        flows = sum(queue["flows"].get(each["class"], 0) for queue in caps["queues"])
        found = caps["bulk_found"] if each["class"] == "bulk" else flows
        table.add_row(each["class"], f"{each['shaped']:,}", f"{each['policed']:,}", f"{found:,}")
    return table


def _pools(caps: CapsStatus) -> Table:
    table = columns(("pool",), ("classes", "leased"), ("",))
    for each in caps["directions"]:
        why = Text(f"policed: {each['policed']}" if each["policed"] else "", style="yellow")
        table.add_row(each["direction"], f"{each['pool']:,}", f"{each['leased']:,}", why)
    return table


def _queues(caps: CapsStatus) -> Table:
    table = columns(("queue",), ("undecided", "decided", "unreadable", "failed", "released", "restarts", "lags"), ("state",))
    for each in caps["queues"]:
        packets = (each["packets"].get(name, 0) for name in ("undecided", "decided", "unreadable", "failed", "released"))
        state = Text(each["meaning"], style="" if each["state"] in _WELL else "yellow")
        table.add_row(str(each["queue"]), *(f"{count:,}" for count in (*packets, each["restarts"], each["lags"])), state)
    return table
