"""The shipped example, with and without its caps: those send packets to a queue, and are measured by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edged.loader import Configuration, load
from edged.policies import Caps

EXAMPLE = Path(__file__).parents[1] / "rules" / "edged.yaml"


def shipped() -> Configuration:
    """As it is."""
    return load(EXAMPLE, now=datetime.now(UTC))


def without_caps() -> Configuration:
    """Its other policies."""
    whole = shipped()
    return replace(whole, policies=tuple(each for each in whole.policies if not isinstance(each.settings, Caps)))
