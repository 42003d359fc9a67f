"""`edged top`: the subscribers and classes that use most of what is capped, live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.files import control_client
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edged.control.client import ControlClient
    from edged.control.messages import Top, TopUse

EXAMPLES = """\
Examples:
  edged top                               anew every 2 s, until ^C
  edged top --once --limit 100
  edged top --json | jq '.uses[] | select(.class == "p2p")'

It shows whose flows of which class are held to a cap at the moment, the fastest first; `dropped` are packets a second that found
no room in their class. Of who is policed (method police) neither is counted; they stand at the end, by their caps. It names
subscribers: whoever may use the daemon's socket may see it. Where stdout is no terminal it is printed once. Exit codes: 0,
4 no daemon.
"""

REFRESH_SECONDS = 2.0  # the daemon measures as often
_WIDE = 160  # columns: what reads a file or a pipe has no screen to be cut to


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.option("--once", is_flag=True, help="Print it once and leave.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many to show.")
def command(path: Path, socket: Path | None, out: Output, *, once: bool, limit: int) -> None:
    """Show the subscribers and classes that use most of what is capped."""
    client = control_client(path, socket)
    top = client.top(limit)
    if out.as_json:
        out.document(top)
    elif not out.console.is_terminal:
        out.console.print(_shown(top), width=_WIDE)
    elif once:
        out.console.print(_shown(top))
    else:
        _watch(client, top, limit, out)


def _watch(client: ControlClient, top: Top, limit: int, out: Output) -> None:
    """Draw it again and again until the operator leaves; a daemon that is restarted meanwhile is waited for."""
    from rich.live import Live

    from edged.errors import Unreachable

    with Live(_shown(top), console=out.console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            try:
                live.update(_shown(client.top(limit)), refresh=True)
            except Unreachable as error:
                live.update(str(error), refresh=True)


def _shown(top: Top) -> RenderableType:
    from rich.console import Group

    from edged.cli.tables import columns

    if not top["uses"]:
        return "nobody is held to a cap at the moment"
    table = columns(("subscriber", "plan", "class", "direction", "method"), ("cap", "rate now", "dropped"))
    for each in top["uses"]:
        table.add_row(*_cells(each))
    behind = top["leases"] - len(top["uses"])
    return Group(table, f"and {behind} more: --limit {top['leases']}") if behind else table


def _cells(use: TopUse) -> tuple[str, ...]:
    from edged.cli.tables import rate

    now = "-" if use["rate"] is None else rate(use["rate"])
    dropped = "-" if use["dropped"] is None else f"{use['dropped']:,.0f}"
    return use["subscriber"], use["plan"] or "", use["class"], use["direction"], use["method"], rate(use["cap"]), now, dropped
