"""The options that commands share, and the one way in which they print."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_CONFIG = Path("/etc/edged/edged.yaml")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Output:
    """Where a command's words go: people's text to stdout, or to stderr where stdout is one JSON object."""

    command: str
    as_json: bool

    def text(self, line: str) -> None:
        """A line for people."""
        click.echo(line, err=self.as_json)

    def warn(self, line: str) -> None:
        """A line that people must see even where the output is piped away."""
        click.echo(line, err=True)

    def data(self, **content: object) -> None:
        """The command's result, printed where JSON was asked for."""
        self.document({"schema": f"edged/v1/{self.command}", **content})

    def document(self, content: object) -> None:
        """A result that carries its schema already."""
        if self.as_json:
            click.echo(json.dumps(content, indent=2))

    @cached_property
    def console(self) -> Console:
        """Tables for people; rich is imported only where one is printed."""
        from rich.console import Console

        return Console(stderr=self.as_json, highlight=False, soft_wrap=False)


def _output(ctx: click.Context, _: click.Parameter, value: bool) -> Output:  # noqa: FBT001  click's signature
    return Output(str(ctx.info_name), value)


config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="EDGED_CONFIG",
    show_default=True,
    show_envvar=True,
    metavar="FILE",
    help="edged.yaml, which names all other files.",
)

json_option = click.option(
    "--json", "out", is_flag=True, callback=_output, help="Print one JSON object; people's text goes to stderr."
)

socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The daemon's control socket.  [default: `control:` of the configuration]",
)


class Duration(click.ParamType[float]):
    """A length of time such as 500ms, 60s, 5m or 1h; in seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds, or a usage error."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", str(value))
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a length of time such as 500ms, 60s, 5m or 1h", param, ctx)
        return float(found[1]) * _UNITS[found[2]]
