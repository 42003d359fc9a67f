"""`edged plan`: what apply would change in the live kernel. It only reads, also beside a running daemon."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edged.cli.files import load_configuration
from edged.cli.kernel import open_kernel, open_traffic_control
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command
from edged.errors import ExitCode

EXAMPLES = """\
Examples:
  edged plan
  edged plan --exit-code || echo "the kernel is not as the files ask"

The kernel's table is compared by its contents, whoever holds it: beside a running daemon this shows what `edged reload`
would change. Of the queueing, which only a running daemon makes, the last lines tell; the exit code is about the table alone.
Reading nftables needs root or CAP_NET_ADMIN.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
@click.option("--exit-code", "tell", is_flag=True, help="End with 5 where something would change.")
@click.pass_context
def command(ctx: click.Context, path: Path, out: Output, *, tell: bool) -> None:
    """Show what would change in the live kernel."""
    from edged.cli import queueing
    from edged.clock import SystemClock
    from edged.lists.offline import as_reloaded
    from edged.lockout.gather import Lifelines
    from edged.lockout.guard import cuts
    from edged.oneshot import compare
    from edged.queueing.plan import summarize
    from edged.queueing.render import commands
    from edged.ruleset.plan import describe

    configuration, refused = as_reloaded(load_configuration(path))
    for line in refused:
        out.warn(f"warning: {line}")
    cut_off = [
        str(each) for each in cuts(configuration, Lifelines.of_this_process(SystemClock()).ends(configuration), int(time.time()))
    ]
    for line in cut_off:
        out.warn(f"refused: {line}")
    table = configuration.table(int(time.time()))
    with open_kernel() as kernel:
        seen = compare(kernel, table)
    with open_traffic_control() as traffic:
        queues = queueing.compare(configuration, traffic)
    steps = [describe(step) for step in seen.plan.steps]
    for step in steps:
        out.text(step)
    like = "the table" if queues.steps else "the kernel"
    out.text(f"{len(steps)} step{'s' * (len(steps) != 1)}" if steps else f"nothing to do: {like} is as the files ask")
    for line in summarize(queues.steps):
        out.text(f"queueing, by the daemon: {line}")
    for line in queues.stays:
        out.text(f"queueing, as it is: {line}")
    held = seen.ownership.value if seen.ownership else None
    out.data(
        changes=len(steps),
        cut_off=cut_off,
        steps=steps,
        generation=seen.plan.generation,
        table=held,
        tc=list(commands(queues.steps)),
        tc_stays=queues.stays,
    )
    if steps and tell:
        ctx.exit(ExitCode.DIFFERENT)
