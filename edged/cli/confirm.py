"""`edged confirm`: keeps the change that `edged apply --confirm` made."""

from __future__ import annotations

from pathlib import Path

import click

from edged.cli.files import control_client, load_configuration, named_state
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.control.client import ControlClient, DaemonRefused, NoDaemon
from edged.errors import EdgedError, ExitCode

EXAMPLES = """\
Examples:
  edged apply --confirm 60s               in one terminal
  edged confirm                           in a new one: it proves that you can still get in

Exit codes: 0 the change stays, 1 nothing waits for a confirmation, 7 too late, it was rolled back.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, path: Path, socket: Path | None, out: Output) -> None:
    """Keep the change that waits for its confirmation."""
    client = control_client(path, socket)
    try:
        _by_daemon(client)
    except NoDaemon:
        not_kept = _by_itself(path)
    else:
        not_kept = ""
    out.text("confirmed: the change stays")
    if not_kept:
        out.warn(f"warning: {not_kept}")
    out.data(confirmed=True, warnings=[not_kept] if not_kept else [])
    if not_kept:
        ctx.exit(ExitCode.DEGRADED)


def _by_daemon(client: ControlClient) -> None:
    try:
        client.confirm()
    except DaemonRefused:
        status = client.status()
        if status["confirm"] is not None:
            raise
        _nothing_waits(rolled_back=status["configuration"]["running"] != "files" or not status["enforcing"])


def _by_itself(path: Path) -> str:
    """Take the note away; the answer says why the files could not be kept as the last good ones, or is empty."""
    from edged.clock import SystemClock
    from edged.confirm import seconds_left
    from edged.state import StateFolder, digest

    clock = SystemClock()
    state = StateFolder(named_state(path), clock)
    pending = state.pending()
    if pending is not None and seconds_left(pending, clock) == -float("inf"):
        state.end_confirm()
        raise EdgedError("the change that waited was lost when the machine was booted; nothing to confirm. Run: edged apply")
    if pending is None or not state.end_confirm():
        _nothing_waits(rolled_back=state.rejected() is not None)
    try:
        configuration = load_configuration(path)
        if pending is not None and digest(configuration.sources) != pending.digest:
            return (
                "the files were changed since they were applied, so a later rollback comes back to the ones before: edged apply"
            )
        state.save_last_good(configuration)
    except EdgedError as error:
        return f"the change stays, but a later rollback cannot come back to it: {error}"
    return ""


def _nothing_waits(*, rolled_back: bool) -> None:
    from edged.confirm import RolledBack

    if rolled_back:
        raise RolledBack("too late: the change was rolled back; what was in force before it is in force again")
    raise EdgedError("nothing waits for a confirmation; nothing was changed")
