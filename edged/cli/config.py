"""`edged config`: what can be said about the files' format."""

from __future__ import annotations

import json

import click

from edged.cli.root import Group

EXAMPLES = """\
Examples:
  edged config schema > edged.schema.json
  edged config schema policy > policy.schema.json

With this first line in a file, editors complete and check its keys:
  # yaml-language-server: $schema=edged.schema.json
"""


@click.group(cls=Group, epilog=EXAMPLES)
def command() -> None:
    """About the files' format."""


@command.command(epilog=EXAMPLES)
@click.argument("file", type=click.Choice(["edged", "policy"]), default="edged")
def schema(file: str) -> None:
    """Print the JSON Schema of edged.yaml, or of a policy's file."""
    from edged.config.schema import schema as made

    click.echo(json.dumps(made(file), indent=2))
