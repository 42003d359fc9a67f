"""The command line: one file a command; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os

from edged.cli.root import edged


def main() -> None:
    """The command `edged`; ends the process with an exit code of the public interface."""
    # else pydantic asks every package on the machine for a plugin: none may have a say in what the files mean, and it takes time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    edged(prog_name="edged")
