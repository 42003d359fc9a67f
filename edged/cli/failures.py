"""What a command says and how it ends when it could not do its work. Only the root of the command line calls this."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import click

from edged.config.problem import InvalidConfiguration, Severity
from edged.errors import EdgedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edged.config.problem import Problem

# the shell's own numbers for a process ended by SIGINT and by SIGPIPE
INTERRUPTED = 130
PIPE_CLOSED = 141


def failed(error: EdgedError) -> ExitCode:
    """Say on stderr what failed; the exit code is the error's."""
    for problem in error.problems:
        click.echo(str(problem), err=True)
    said = f"{tally(error.problems)}; nothing was changed" if isinstance(error, InvalidConfiguration) else str(error)
    click.echo(f"edged: {said}", err=True)
    return error.exit_code


def tally(problems: Iterable[Problem]) -> str:
    """How many errors and warnings these are, in words."""
    severities = [problem.severity for problem in problems]
    counts = ((severities.count(Severity.ERROR), "error"), (severities.count(Severity.WARNING), "warning"))
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count) or "no problems"


def defect(error: Exception, *, debug: bool) -> ExitCode:
    """Say that edged itself is at fault, and what still holds."""
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    more = "" if debug else "; edged --debug COMMAND shows where"
    click.echo(
        f"edged: this is a defect in edged ({type(error).__name__}: {error}). The policy in the kernel is unchanged unless a "
        f"line above says otherwise: no change is made by halves. Please report it{more}",
        err=True,
    )
    return ExitCode.FAILED
