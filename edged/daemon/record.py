"""What the daemon can tell of its configuration: an immutable record, replaced as a whole with every change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edged.loader import Configuration


class Source(Enum):
    """Where the configuration in force was read from; the value is the word in the status."""

    FILES = "files"
    LAST_GOOD = "last good"


@dataclass(frozen=True, slots=True)
class Record:
    """The configuration in force and how it came to be."""

    configuration: Configuration
    source: Source = Source.FILES
    why_not_files: str = ""  # with LAST_GOOD: what is the matter with the files
    reload_successful: bool = True
    reload_success: float = 0.0  # seconds since the epoch
    reload_error: str = ""
    state_trouble: str = ""  # the state folder could not be written
    idle: str = ""  # why nothing is enforced, where that is so


def restart_needed(first: Configuration, present: Configuration) -> tuple[str, ...]:
    """What of the present configuration only a restart brings: the sockets and the folder stay those of the first one."""
    before, after = first.edged, present.edged
    settings = (
        ("metrics.listen", before.metrics.listen, after.metrics.listen),
        ("control", before.control.path, after.control.path),
        ("state", before.state, after.state),
    )
    return tuple(
        f"{name}: {wanted} takes effect when the daemon is restarted; until then it is {kept}"
        for name, kept, wanted in settings
        if kept != wanted
    )
