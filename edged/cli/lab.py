"""`edged lab`: a throw-away gateway with subscribers and servers, the daemon running in it, and real traffic through it."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from edged.cli.options import Output, json_option
from edged.cli.root import Command

EXAMPLES = """\
Examples:
  edged lab             until Ctrl-C: a live table of what was tried and what became of it
  edged lab --once      one round; exit code 0 only if all came out right
  edged lab --once -c try/edged.yaml   the same through policies of your own
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.option("--once", is_flag=True, help="Make one round and leave: 0 if all came out right, 1 otherwise.")
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An edged.yaml for the lab's network, which is that of the shipped example.  [default: the shipped example]",
)
@json_option
@click.pass_context
def command(ctx: click.Context, *, once: bool, path: Path | None, out: Output) -> None:
    """Build a gateway in network namespaces, run the daemon in it, send real traffic, and remove it all again.

    A dynamic and a static subscriber, mail servers, a resolver, a web server and BitTorrent peers, all real processes, in IPv4
    and IPv6. The machine's own network and firewall are not touched. Needs root.
    """
    from edged.lab.example import shipped_example
    from edged.lab.report import Lines, Table
    from edged.lab.run import Rounds, run_lab

    gc.enable()
    report = Table(out.console) if out.console.is_terminal else Lines(out.console)
    ctx.exit(run_lab(path or shipped_example(), Rounds.ONE if once else Rounds.UNTIL_STOPPED, report, out.document))
