"""Logging of the daemon: one line an event on stderr, which is what systemd and containers collect.

Under the journal each line begins with its priority, `<4>` for a warning (sd-daemon(3)), and the journal adds the time itself.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping

# syslog's priorities, the most severe first: (from this level on, priority)
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


class JournalFormatter(logging.Formatter):
    """A line with its priority in front, also the lines of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines that each carry the priority."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up(environment: Mapping[str, str]) -> None:
    """Send the log of this process to stderr, in the form that whoever reads it there understands."""
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal(environment.get("JOURNAL_STREAM", "")):
        handler.setFormatter(JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # it repeats what a peer sent; requests that are none are answered, and changes have an audit line of their own
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL + 1)


def _is_journal(stream: str) -> bool:
    """Whether stderr is the journal's: JOURNAL_STREAM is its `device:inode`, and stderr may have been sent elsewhere since."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"
