"""`edged run`: the daemon."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from edged.cli.options import config_option
from edged.cli.root import Command

EXAMPLES = """\
Examples:
  systemctl enable --now edged            the usual way
  edged run -c /etc/edged/edged.yaml      in the foreground, to see its log

It enforces the files, holds the table against others, and serves metrics and the control socket. SIGHUP reloads. SIGTERM ends
it and leaves the policy in force; `edged teardown` removes the policy. Exit codes: 0 ended by a signal, 1 failed, 3 invalid
files and no last good configuration, 6 another daemon runs.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
def command(path: Path) -> None:
    """Be the daemon: apply, keep, measure, serve metrics and the control socket."""
    from edged.daemon.main import run

    gc.enable()
    run(path)
