"""`edged render`: what the policies compile to, as text of nft and commands of tc."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command

if TYPE_CHECKING:
    from edged.queueing.tree import Tree

EXAMPLES = """\
Examples:
  edged render | nft -c -f -              let the kernel judge it; nothing is applied
  diff <(edged render) <(edged render -c new/edged.yaml)
  edged render --tc | less               the queueing tree, which the daemon makes, as commands of tc and ip

The text is for reading. `nft -f` would load it as an unowned table and without edged's bookkeeping: use `edged apply`. The tree
is that of devices as the kernel sets them up; the classes' own qdiscs are those of a kernel that has all (edged doctor).
"""

NO_QUEUEING = "# no queueing: nothing of this configuration shapes traffic, so there are no tc commands"


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
@click.option("--tc", "queueing", is_flag=True, help="Print the commands that make the queueing tree, and nothing else.")
def command(path: Path, out: Output, *, queueing: bool) -> None:
    """Print the compiled ruleset as nft text, and the queueing tree as tc commands; needs no root and no kernel."""
    from edged.cli.queueing import trees
    from edged.lists.offline import in_force
    from edged.queueing import render as tc
    from edged.ruleset.render import render

    now = int(time.time())
    configuration = in_force(load_configuration(path))
    text = render(configuration.table(now), now)
    made = trees(configuration)
    if out.as_json:
        out.data(nft=text, tc=tc.render(made).splitlines())
    elif queueing:
        out.text(tc.render(made).rstrip() or NO_QUEUEING)
    else:
        out.text(f"{text}{_told(made)}")


def _told(made: tuple[Tree, ...]) -> str:
    """The trees in lines that nft passes over: a pool is thousands of classes that differ in their numbers alone."""
    shapers = (tree.shaper for tree in made)
    lines = [
        f"# queueing of {each.device}: htb, {each.pool} classes of {each.line} until leased, in each {each.leaf.value}"
        for each in shapers
    ]
    return "\n".join([*lines, "# as tc commands: edged render --tc"]) if lines else NO_QUEUEING
