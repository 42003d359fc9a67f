"""Reading the operator's files for a command: all of them, or only the one path that leads to the daemon or its state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.options import DEFAULT_CONFIG
from edged.config.named import named_path, named_socket
from edged.config.problem import InvalidConfiguration, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.control.client import ControlClient
    from edged.loader import Configuration

# the defaults of edged/config/gateway.py, said again: importing that would cost pydantic (a test holds them together)
DEFAULT_SOCKET = Path("/run/edged/control.sock")
DEFAULT_STATE = Path("/var/lib/edged")


def load_configuration(path: Path) -> Configuration:
    """The whole configuration, its warnings printed on stderr. Raises InvalidConfiguration."""
    from datetime import UTC, datetime

    from edged.loader import load

    configuration = load(path, now=datetime.now(UTC))
    for warning in configuration.warnings:
        click.echo(str(warning), err=True)
    return configuration


def control_client(path: Path, socket: Path | None) -> ControlClient:
    """The daemon that the options point at. Raises InvalidConfiguration where there is no such file."""
    from edged.control.client import ControlClient

    return ControlClient(socket or _named(path, named_socket) or DEFAULT_SOCKET)


def named_state(path: Path) -> Path:
    """The state folder that edged.yaml names. Raises InvalidConfiguration where there is no such file."""
    return _named(path, lambda content: named_path(content, "state")) or DEFAULT_STATE


def _named(path: Path, find: Callable[[bytes], str | None]) -> Path | None:
    """The path that `find` finds in edged.yaml; None where the file does not say, or may not be read.

    Nothing is validated: the daemon runs on while its files are broken, and must still be told things.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path == DEFAULT_CONFIG:
            return None
        hint = "there is no such file: name the daemon's edged.yaml with -c FILE"
        raise InvalidConfiguration((Problem(str(path), 1, 1, "", hint),)) from None
    except OSError:
        return None  # whoever may use the socket need not be one who may read the files
    named = find(content)
    return None if named is None else path.absolute().parent / named
