"""Fingerprints: a rule's identity in the kernel, kept in its comment, so that nobody has to read rule bodies back."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2s

from edged import __version__
from edged.ruleset.tree import Rule


@lru_cache(maxsize=4096)
def fingerprint(rule: Rule) -> str:
    """16 hex digits over all that the rule means, its name included, its origin not.

    The release is part of it: another release may write the same rule in other bytes, so an upgrade writes every chain anew,
    in place.
    """
    meaning = repr((__version__, rule.name, rule.when, rule.then, rule.count))
    return blake2s(meaning.encode(), digest_size=8).hexdigest()
