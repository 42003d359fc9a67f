"""`edged reload`: has the daemon take its files anew, and waits for what came of it."""

from __future__ import annotations

from pathlib import Path

import click

from edged.cli.files import control_client
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.errors import ExitCode

EXAMPLES = """\
Examples:
  edged check && edged reload
  systemctl reload edged                  the same, by way of systemd

A file that is wrong changes nothing; its mistakes are printed as `edged check` does. Exit codes: 0 the kernel is as the files
ask, 1 failed, 3 invalid files, 4 no daemon, 6 refused: by a guard of edged (would it cut you off? `edged apply` says how to do
it all the same), or a list by its own; of such a list the last good state stays in force, and all else is done.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, path: Path, socket: Path | None, out: Output) -> None:
    """Tell the daemon to take the files anew, and wait for the result."""
    from edged.lockout.logins import own_login

    answer = control_client(path, socket).reload(own_login())
    for warning in answer["warnings"]:
        out.warn(warning)
    for step in answer["steps"]:
        out.text(step)
    changed = answer["changed"]
    out.text(
        f"reloaded: {changed} step{'s' * (changed != 1)}"
        if changed
        else "reloaded: nothing to do, the kernel was as the files ask"
    )
    out.data(**answer)
    for line in answer["refused"]:
        out.warn(line)
    if answer["refused"]:
        ctx.exit(ExitCode.REFUSED)
