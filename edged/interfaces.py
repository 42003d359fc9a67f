"""Interface names as the configuration writes them: a trailing * stands for every name that begins so."""

from __future__ import annotations

from collections.abc import Iterable


def fits(name: str, pattern: str) -> bool:
    """Whether an interface of that name is meant by the pattern."""
    return name.startswith(pattern[:-1]) if is_wildcard(pattern) else name == pattern


def is_wildcard(pattern: str) -> bool:
    """Whether the pattern stands for any number of interfaces."""
    return pattern.endswith("*")


def presence(patterns: Iterable[str], present: Iterable[str]) -> dict[str, bool]:
    """Each pattern, and whether an interface that fits it is there."""
    there = tuple(present)
    return {pattern: any(fits(name, pattern) for name in there) for pattern in patterns}
