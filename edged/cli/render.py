"""`edged render`: what the policies compile to, as text."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command

EXAMPLES = """\
Examples:
  edged render | nft -c -f -              let the kernel judge it; nothing is applied
  diff <(edged render) <(edged render -c new/edged.yaml)

The text is for reading. `nft -f` would load it as an unowned table and without edged's bookkeeping: use `edged apply`.
"""

NO_QUEUES = "# no queueing: no policy of this configuration shapes traffic, so there are no tc commands"


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
def command(path: Path, out: Output) -> None:
    """Print the compiled ruleset as nft text; needs no root and no kernel."""
    from edged.lists.offline import in_force
    from edged.ruleset.render import render

    now = int(time.time())
    text = render(in_force(load_configuration(path)).table(now), now)
    if out.as_json:
        out.data(nft=text, tc=[])
    else:
        out.text(f"{text}{NO_QUEUES}")
