"""`edged config`: what can be said about the files' format."""

from __future__ import annotations

import json
import sys
from getpass import getpass

import click

from edged.cli.root import Group

EXAMPLES = """\
Examples:
  edged config schema > edged.schema.json
  edged config schema policy > policy.schema.json
  edged config password-hash prometheus >> /etc/edged/metrics.users

With this first line in a file, editors complete and check its keys:
  # yaml-language-server: $schema=edged.schema.json
"""


@click.group(cls=Group, epilog=EXAMPLES)
def command() -> None:
    """About the files' format."""


@command.command(name="password-hash", epilog=EXAMPLES)
@click.argument("name")
def password_hash(name: str) -> None:
    """Print the line of a user of the metrics page, for basic_auth_users_file.

    The password is asked for, or read from standard input where that is no terminal; it is kept nowhere.
    """
    from edged.credentials.passwords import hashed, is_name

    if not is_name(name):
        raise click.BadParameter("a user's name has no colon and no space, and at most 64 characters", param_hint="NAME")
    click.echo(f"{name}:{hashed(_password())}")


def _password() -> str:
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n")
    elif (password := getpass("Password: ")) != getpass("Again: "):
        raise click.UsageError("the two passwords differ")
    if not password:
        raise click.UsageError("expected a password, on the terminal or on standard input")
    return password


@command.command(epilog=EXAMPLES)
@click.argument("file", type=click.Choice(["edged", "policy"]), default="edged")
def schema(file: str) -> None:
    """Print the JSON Schema of edged.yaml, or of a policy's file."""
    from edged.config.schema import schema as made

    click.echo(json.dumps(made(file), indent=2))
