"""What stands in a list, as messages show it; by itself, so that whoever reads host names does without numpy."""

from __future__ import annotations

_LONGEST = 60


def shown(text: str) -> str:
    """Text from a list on one line, short and harmless to a terminal."""
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")
