"""The command line: one file a command; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import gc
import os

from edged.cli.root import edged


def main() -> None:
    """The command `edged`; ends the process with an exit code of the public interface."""
    # else pydantic asks every package on the machine for a plugin: none may have a say in what the files mean, and it takes time
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # A command is over before anything it made is garbage: not looking for any, now and at the end, saves a seventh of its time.
    # What goes on for longer (`run`, `lab`) looks again.
    gc.disable()
    try:
        edged(prog_name="edged")
    finally:
        gc.freeze()
