"""The file of subscribers, as a billing system writes it."""

from __future__ import annotations

from edged.sources.subscribers import Parsing, parse
from tests.fuzz.target import Target

_ROWS = b"id,prefixes,plan\nC-1,203.0.113.9 2001:db8:d:900::/56,\nC-2,203.0.113.66/31 198.51.100.16/28,business\n"


def run(data: bytes) -> None:
    """With plans and without."""
    for plans in (None, ("business",)):
        assert isinstance(parse(data, plans), Parsing)


_SEEDS = (_ROWS, _ROWS.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + _ROWS, _ROWS.replace(b",", b";"), b"id,prefixes,plan\n")
TARGET = Target(11, run, _SEEDS)
