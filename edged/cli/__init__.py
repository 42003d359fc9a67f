"""The command line: one file a command; nothing heavy is imported before a command needs it."""

from __future__ import annotations

from edged.cli.root import edged


def main() -> None:
    """The command `edged`; ends the process with an exit code of the public interface."""
    edged(prog_name="edged")
