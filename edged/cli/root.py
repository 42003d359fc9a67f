"""The command `edged` itself: which commands there are, and what becomes of an exception that one of them lets go.

A command's module is imported when the command is asked for, and imports what is heavy (pydantic, pyroute2, rich) in its own
functions: `edged status` has a quarter of a second for everything.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from edged import __version__
from edged.cli.failures import INTERRUPTED, PIPE_CLOSED, defect, failed
from edged.errors import EdgedError

# in the order of the help page: what an operator needs first stands first
COMMANDS = {
    "check": "edged.cli.check",
    "render": "edged.cli.render",
    "plan": "edged.cli.plan",
    "apply": "edged.cli.apply",
    "confirm": "edged.cli.confirm",
    "run": "edged.cli.run",
    "reload": "edged.cli.reload",
    "status": "edged.cli.status",
    "top": "edged.cli.top",
    "explain": "edged.cli.explain",
    "blocklist": "edged.cli.blocklist",
    "subscriber": "edged.cli.subscriber",
    "replay": "edged.cli.replay",
    "doctor": "edged.cli.doctor",
    "teardown": "edged.cli.teardown",
    "config": "edged.cli.config",
    "lab": "edged.cli.lab",
}

EPILOG = """\
Exit codes:
  0 done                      5 there are differences
  1 failed                    6 refused by a guard
  2 usage                     7 rolled back
  3 invalid configuration     8 working, but with less than the
  4 daemon not reachable        configuration asks for

A first policy on a real gateway:
  edged check                 are the files right?
  edged plan                  what would change in the kernel?
  edged apply --confirm 60s   try it; it rolls back by itself ...
  edged confirm               ... unless you can still say so

Completion, for bash (zsh and fish likewise):
  eval "$(_EDGED_COMPLETE=bash_source edged)"
"""


def as_typed(text: str | None, formatter: click.HelpFormatter) -> None:
    """Write a help page's last part with the line breaks it was written with."""
    if text:
        formatter.write("\n" + text)


class Command(click.Command):
    """A command whose epilog is examples, printed as they are typed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the examples."""
        as_typed(self.epilog, formatter)


class Group(click.Group):
    """A group of commands with an epilog printed as it is typed."""

    command_class = Command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the epilog."""
        as_typed(self.epilog, formatter)


class LazyGroup(Group):
    """All of edged's commands, each imported when it is asked for; the one place that turns exceptions into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The commands' names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command of that name; its module is imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's signature
        """Run the command; click itself sees to usage errors."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except EdgedError as error:
            ctx.exit(failed(error))
        except (click.exceptions.Exit, click.ClickException):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # the reader has gone (`edged render | head`): nothing is left to say, not even at the interpreter's own flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(PIPE_CLOSED)
        except Exception as error:  # noqa: BLE001  a defect of ours; the reader is told what still holds
            ctx.exit(defect(error, debug=ctx.params["debug"]))
        return answer


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="edged", message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, envvar="EDGED_DEBUG", help="Print a traceback where edged itself fails (env: EDGED_DEBUG)."
)
def edged(*, debug: bool) -> None:
    """One typed edge policy for an ISP gateway, enforced by the kernel's nftables.

    Every command reads /etc/edged/edged.yaml unless -c FILE or EDGED_CONFIG names another file. With --json, data goes to
    stdout as one object and people's text to stderr.
    """
