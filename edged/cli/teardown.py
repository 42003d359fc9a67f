"""`edged teardown`: takes all that edged made out of the kernel, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.files import control_client, named_state
from edged.cli.kernel import open_kernel, open_traffic_control
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.errors import EdgedError

if TYPE_CHECKING:
    from edged.control.messages import TornDown
    from edged.kernel.tc import TrafficControl
    from edged.queueing.plan import Removal

EXAMPLES = """\
Examples:
  edged teardown --dry-run
  edged teardown

From then on no policy is in force: port 25 is open. Other programs' tables and qdiscs are not touched; one that edged replaced,
as `replace_qdiscs` let it, does not come back. It asks nothing, so that scripts can use it. A running daemon removes its own
table and queueing, and enforces nothing until `edged reload` or its restart.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(path: Path, socket: Path | None, out: Output, *, dry_run: bool) -> None:
    """Remove all that edged made in the kernel, and nothing else."""
    gone = _there() if dry_run else _removed(path, socket)
    present = gone["removed"] or bool(gone["devices"])
    if not present:
        out.text("nothing of edged is in the kernel; nothing to remove")
    elif dry_run:
        out.text(f"would remove {_named(gone)}")
    else:
        out.text(f"removed {_named(gone)}; no policy of edged is in force")
    out.data(removed=present and not dry_run, present=present, devices=gone["devices"], dry_run=dry_run)


def _named(gone: TornDown) -> str:
    table = ["table inet edged"] if gone["removed"] else []
    queueing = [f"the queueing of {', '.join(gone['devices'])}"] if gone["devices"] else []
    return " and ".join((*table, *queueing))


def _there() -> TornDown:
    """What would be removed."""
    with open_kernel() as kernel, open_traffic_control() as traffic:
        return {"removed": kernel.observe().table is not None, "devices": [step.device for step in _ours(traffic)]}


def _ours(traffic: TrafficControl) -> tuple[Removal, ...]:
    """The steps that remove edged's trees; which devices they are on needs no files."""
    from edged.queueing.diff import diff

    return diff((), traffic.observe()).removals


def _removed(path: Path, socket: Path | None) -> TornDown:
    """What was removed; the daemon does it where one runs."""
    from edged.control.client import NoDaemon

    try:
        return control_client(path, socket).teardown()
    except NoDaemon:
        return _removed_here(path)


def _removed_here(path: Path) -> TornDown:
    from edged.enforce import enforce
    from edged.state import StateFolder

    # first: whoever guards a change that waits for its confirmation would bring the policy back at its deadline
    try:
        StateFolder(named_state(path)).abandon()
    except EdgedError as error:
        click.echo(f"a change that waits for its confirmation may come back: {error}", err=True)
    with open_kernel() as kernel, open_traffic_control() as traffic:
        # the rules first: no packet may be given a class that is gone
        table = bool(enforce(kernel, None, time.time).plan)
        trees = _ours(traffic)
        traffic.apply(trees)
    return {"removed": table, "devices": [step.device for step in trees]}
