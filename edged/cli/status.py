"""`edged status`: one screen of how the policy stands. Scripts and loops run it, so it imports little."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.files import control_client
from edged.cli.options import Duration, Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.errors import ExitCode

if TYPE_CHECKING:
    from edged.control.client import ControlClient
    from edged.control.messages import Status

EXAMPLES = """\
Examples:
  edged status
  edged status --watch                    every second, with rates
  edged status --json | jq .in_sync

Exit codes: 0 in sync, 4 no daemon, 5 the kernel is not as the files ask, 8 something works with less than the files ask for.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.option(
    "--watch", is_flag=False, flag_value="1s", type=Duration(), metavar="[TIME]", help="Show it anew every TIME (1s), with rates."
)
@click.pass_context
def command(ctx: click.Context, path: Path, socket: Path | None, out: Output, *, watch: float | None) -> None:
    """Show whether the policy is in force, what it has counted, and what is degraded and why."""
    client = control_client(path, socket)
    if watch is not None:
        if out.as_json:
            raise click.UsageError("--watch is for people; call `edged status --json` as often as needed")
        _watch(client, watch, out)
    status = client.status()
    if out.as_json:
        out.document(status)
    else:
        from edged.cli.screen import screen

        for part in screen(status, {}, time.time()):
            out.console.print(part)
    ctx.exit(ending(status))


def ending(status: Status) -> ExitCode:
    """The exit code that says how the policy stands; what is out of sync weighs more than what is degraded."""
    if not status["in_sync"]:
        return ExitCode.DIFFERENT
    return ExitCode.DEGRADED if status["degraded"] else ExitCode.DONE


def _watch(client: ControlClient, every: float, out: Output) -> None:
    """Draw the screen again and again until the operator leaves; a daemon that is restarted meanwhile is waited for."""
    from rich.console import Group
    from rich.live import Live

    from edged.cli.screen import Rates, rates, screen
    from edged.errors import Unreachable

    before, seen = None, time.monotonic()
    with Live(console=out.console, screen=out.console.is_terminal, auto_refresh=False) as live:
        while True:
            try:
                status, now = client.status(), time.monotonic()
            except Unreachable as error:
                live.update(str(error), refresh=True)
            else:
                shown: Rates = rates(before, status, now - seen) if before else {}
                live.update(Group(*screen(status, shown, time.time())), refresh=True)
                before, seen = status, now
            time.sleep(every)
