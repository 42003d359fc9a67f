"""`edged apply`: programs the kernel once and leaves; with --confirm it takes that back unless somebody confirms it in time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.applying import Applied, ByDaemon, ByItself, Ended, Way
from edged.cli.files import control_client
from edged.cli.options import DEFAULT_CONFIG, Duration, Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.clock import SystemClock
from edged.control.client import NoDaemon
from edged.errors import ExitCode

if TYPE_CHECKING:
    from edged.control.asked import Apply
    from edged.control.client import ControlClient

EXAMPLES = """\
Examples:
  edged apply --dry-run                   what would be done; the kernel judges it, nothing is applied
  edged apply --confirm 60s               rolls back after 60 s unless `edged confirm` comes, even if this terminal dies
  edged apply --confirm 5m --no-wait      the same, for scripts: returns at once
  edged apply --despite-guards            also where it cuts off your own login, a resolver or the monitoring

Where the daemon runs, it does the work; then its files must be the ones named by -c. Where none runs, the policy stays in the
kernel after this command has gone, until the next boot. Exit codes: 0 in force (and confirmed), 1 the kernel refused and
nothing was applied, 3 invalid files, 6 refused by a guard (a list by its own: all else is in force), 7 rolled back, 8 in force,
but with less than the files ask for.
"""

_LOOK_EVERY = 0.25


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.option("--dry-run", is_flag=True, help="Let the kernel judge the change; apply nothing.")
@click.option("--confirm", type=Duration(), metavar="TIME", help="Roll back after TIME (60s, 5m) unless `edged confirm` comes.")
@click.option("--despite-guards", is_flag=True, help="Apply also what cuts off who manages this gateway, or what it lives by.")
@click.option("--no-wait", is_flag=True, help="With --confirm: return at once instead of waiting for what becomes of it.")
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    socket: Path | None,
    out: Output,
    *,
    dry_run: bool,
    confirm: float | None,
    no_wait: bool,
    despite_guards: bool,
) -> None:
    """Make the kernel enforce what the files ask for."""
    if no_wait and confirm is None:
        raise click.UsageError("--no-wait is for --confirm: without it apply has nothing to wait for")
    from edged.control.asked import Apply, Guards
    from edged.lockout.logins import own_login

    asked = Apply(confirm, own_login(), Guards.OVERRIDDEN if despite_guards else Guards.HELD)
    client = control_client(path, socket)
    if dry_run:
        _show_dry_run(ByItself(path, client.path, SystemClock()), asked, out)
        return
    way = _way(client, path)
    applied = way.apply(asked)
    _tell(applied, out)
    ended = None
    if confirm is not None:
        out.text(f"NOT yet confirmed: rolled back in {confirm:g} s unless you run: {_confirm_line(path)}")
        ended = None if no_wait else _wait(way, confirm, out)
    out.data(
        by=applied.by,
        changed=len(applied.steps),
        steps=applied.steps,
        generation=applied.generation,
        warnings=applied.warnings,
        lacks=applied.lacks,
        refused=applied.refused,
        confirm=None if confirm is None else {"seconds": confirm, "outcome": ended.value if ended else "waiting"},
    )
    if ended is Ended.ROLLED_BACK:
        ctx.exit(ExitCode.ROLLED_BACK)
    if applied.refused:
        ctx.exit(ExitCode.REFUSED)
    if applied.lacks:
        ctx.exit(ExitCode.DEGRADED)


def _confirm_line(path: Path) -> str:
    return "edged confirm" if path == DEFAULT_CONFIG else f"edged confirm -c {path}"


def _way(client: ControlClient, path: Path) -> Way:
    try:
        return ByDaemon(client, client.status(), path)
    except NoDaemon:
        return ByItself(path, client.path, SystemClock())


def _show_dry_run(way: ByItself, asked: Apply, out: Output) -> None:
    steps = way.judge(asked)
    for step in steps:
        out.text(step)
    out.text(
        "dry run: the kernel takes it; nothing was applied" if steps else "dry run: nothing to do, the kernel is as the files ask"
    )
    out.data(by="dry run", changed=0, steps=steps)


def _tell(applied: Applied, out: Output) -> None:
    for line in (*applied.warnings, *applied.lacks, *applied.refused):
        out.warn(f"warning: {line}")
    for step in applied.steps:
        out.text(step)
    count = len(applied.steps)
    out.text(f"applied: {count} step{'s' * (count != 1)}" if count else "nothing to do: the kernel was as the files ask")


def _wait(way: Way, confirm: float, out: Output) -> Ended:
    """Wait for a confirmation or the rollback, with a countdown on a terminal; whoever leaves early changes neither."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("waiting for `edged confirm`"), BarColumn(), TextColumn("{task.fields[left]:.0f} s left"))
    try:
        with Progress(
            *columns, console=console, transient=True, refresh_per_second=4, disable=not console.is_terminal
        ) as progress:
            task = progress.add_task("", total=confirm, left=confirm)
            while not isinstance(left := way.waiting(), Ended):
                progress.update(task, completed=confirm - left, left=left)
                time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        out.warn("no longer waiting; the change still rolls back by itself unless it is confirmed")
        raise
    said = {
        Ended.CONFIRMED: "confirmed: the change stays",
        Ended.ROLLED_BACK: "rolled back: what was in force before is in force again",
    }
    out.text(said[left])
    return left
