"""A worker of the live queue with edged's engine, as the supervisor starts it: `python -m edged.inspectors ORDER`."""

from __future__ import annotations

# what opens QUIC is imported late elsewhere; here that would be as nobody, who may be unable to read edged's own folder
import edged.inspect.names.quic_initial  # noqa: F401
from edged.inspect.engine import Inspector
from edged.inspectors import worker
from edged.sources.hosts import Hosts


def _make(settings: bytes) -> Inspector:
    """The engine; `settings` are the suffixes of a list of hosts that was read and found good, one a line."""
    return Inspector(Hosts(frozenset(settings.decode().split())))


if __name__ == "__main__":
    raise SystemExit(worker.main(_make))
