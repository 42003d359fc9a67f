"""`edged check`: validates everything that the daemon would read, and touches nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command
from edged.config.problem import InvalidConfiguration
from edged.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.config.problem import Problem
    from edged.loader import Configuration

EXAMPLES = """\
Examples:
  edged check
  edged check -c ./edged.yaml && sudo edged reload
  edged check --json | jq -r '.problems[].message'

Every mistake of every file is printed in one run, as file:line:column: key: message. Exit codes: 0, 3 for invalid files, 6 for
a list that its guards would not let take effect.
"""


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, path: Path, out: Output) -> None:
    """Validate all files; needs no root and no kernel."""
    from edged.lists.offline import as_reloaded

    try:
        configuration, refused = as_reloaded(load_configuration(path))
        table = configuration.table(int(time.time()))
    except InvalidConfiguration as error:
        out.data(ok=False, problems=_listed(error.problems))
        raise
    for line in refused:
        out.warn(line)
    out.text(summary(configuration) if not refused else f"{len(refused)} list{'s' * (len(refused) != 1)} would not be taken")
    out.data(
        ok=not refused,
        refused=list(refused),
        problems=_listed(configuration.warnings),
        gateway=configuration.edged.gateway.name,
        policies={each.settings.policy: each.settings.mode.value for each in configuration.policies},
        files=[str(file) for file in configuration.files],
        rules=sum(1 for _ in table.rules()),
    )
    if refused:
        ctx.exit(ExitCode.REFUSED)


def summary(configuration: Configuration) -> str:
    """One line that says what was found to be right."""
    policies = configuration.policies
    named = ", ".join(f"{each.settings.policy} ({each.settings.mode.value})" for each in policies) or "none"
    count = f"{len(policies)} {'policy' if len(policies) == 1 else 'policies'}"
    warnings = (
        f", {len(configuration.warnings)} warning{'s' * (len(configuration.warnings) != 1)}" if configuration.warnings else ""
    )
    return f"ok: {configuration.edged.gateway.name}, {count}: {named}; {len(configuration.files)} files{warnings}"


def _listed(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {
            "severity": each.severity.value,
            "file": each.file,
            "line": each.line,
            "column": each.column,
            "path": each.path,
            "message": each.message,
        }
        for each in problems
    ]
