"""What edged promises, by the numbers of its page of promises, and which of it is weaker where the kernel lacks something."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# the titles of tests/promises.py; a test holds the two together
TITLES: Final[Mapping[int, str]] = MappingProxyType(
    {
        2: "kill -9 opens nothing",
        3: "A stranger's flush opens nothing",
        12: "The model says what the kernel does",
        19: "No packet slips past for its state",
        20: "A new entry ends open flows",
    }
)

# what is not in here is made up for by another part, or no promise speaks of it
WEAKENS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "table_owner": (2, 3),
        "table_persist": (2,),
        "connection_marks": (20,),
        "conntrack": (12, 19),
        "prefix_sets": (20,),
    }
)
BYPASSED: Final = (12, 19)  # by what takes packets past the rules


def told(numbers: tuple[int, ...]) -> str:
    """The promises, for people; empty where there is none."""
    named = " and ".join(f"{number} ({TITLES[number]})" for number in numbers)
    return f"weakens promise {named}" if named else ""
