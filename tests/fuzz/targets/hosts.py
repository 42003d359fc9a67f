"""A list of host names, as a publisher of such lists writes it."""

from __future__ import annotations

from functools import cache

from edged.sources import hosts
from tests.fuzz.target import FOLDER, Target

# each form of the list of public suffixes is read once here, as that would take all the time
hosts._public_suffixes = cache(hosts._public_suffixes)


def run(data: bytes) -> None:
    """Names, and lines that are none."""
    parsed = hosts.parse_hosts(data)
    assert isinstance(parsed.hosts, hosts.Hosts)
    assert all(each.line >= 1 and each.message.isprintable() for each in parsed.bad)


_SHIPPED = (FOLDER.parents[1] / "rules/hosts/streaming.txt").read_bytes()
TARGET = Target(11, run, (_SHIPPED[:2000], b"video.example\n*.x.example # y\nco.jp\n\xe3\x81\x82.jp\n", b"0.0.0.0 a.example\n"))
