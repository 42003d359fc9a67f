"""`edged teardown`: takes all that edged made out of the kernel, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edged.cli.files import control_client, named_state
from edged.cli.kernel import open_kernel
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.errors import EdgedError

EXAMPLES = """\
Examples:
  edged teardown --dry-run
  edged teardown

From then on no policy is in force: port 25 is open. Other programs' tables are not touched. It asks nothing, so that scripts
can use it. A running daemon removes its own table and enforces nothing until `edged reload` or its restart.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(path: Path, socket: Path | None, out: Output, *, dry_run: bool) -> None:
    """Remove all that edged made in the kernel, and nothing else."""
    if dry_run:
        with open_kernel() as kernel:
            present = kernel.observe().table is not None
        removed, word = False, "would remove table inet edged with all that is in it" if present else NOTHING
    else:
        present = removed = _removed(path, socket)
        word = "removed table inet edged; no policy of edged is in force" if removed else NOTHING
    out.text(word)
    out.data(removed=removed, present=present, dry_run=dry_run)


NOTHING = "nothing of edged is in the kernel; nothing to remove"


def _removed(path: Path, socket: Path | None) -> bool:
    """Whether there was anything to remove; the daemon does it where one runs."""
    from edged.control.client import NoDaemon

    try:
        return control_client(path, socket).teardown()["removed"]
    except NoDaemon:
        return _removed_here(path)


def _removed_here(path: Path) -> bool:
    from edged.enforce import enforce
    from edged.state import StateFolder

    # first: whoever guards a change that waits for its confirmation would bring the policy back at its deadline
    try:
        StateFolder(named_state(path)).abandon()
    except EdgedError as error:
        click.echo(f"a change that waits for its confirmation may come back: {error}", err=True)
    with open_kernel() as kernel:
        return bool(enforce(kernel, None, time.time).plan)
