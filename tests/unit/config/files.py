"""Configurations in memory, for tests that need no disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edged.config.files import StoredFiles
from edged.loader import Configuration, InvalidConfiguration, load

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FOLDER = Path("/etc/edged")
EDGED = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, "2001:db8:d::/48"]
  static: [198.51.100.0/24]
"""


def loaded(
    edged: str | bytes = EDGED,
    now: datetime = NOW,
    subscribers: str | None = None,
    hosts: str | bytes | None = None,
    **policies: str | bytes,
) -> Configuration:
    """The configuration of edged.yaml, subscribers.csv, hosts.txt and rules.d/<keyword>.yaml, or the error it is refused with."""
    named = {FOLDER / "edged.yaml": edged, **{FOLDER / f"rules.d/{name}.yaml": text for name, text in policies.items()}}
    if subscribers is not None:
        named[FOLDER / "subscribers.csv"] = subscribers
    if hosts is not None:
        named[FOLDER / "hosts.txt"] = hosts
    content = {path: text.encode() if isinstance(text, str) else text for path, text in named.items()}
    return load(FOLDER / "edged.yaml", now=now, files=StoredFiles(content))


def refusal(edged: str | bytes = EDGED, **policies: str | bytes) -> list[str]:
    """The lines that refuse the configuration; empty where it is not refused."""
    try:
        loaded(edged, **policies)  # type: ignore[arg-type]  # of policies alone
    except InvalidConfiguration as error:
        return str(error).splitlines()
    return []


def warnings(edged: str | bytes = EDGED, **policies: str | bytes) -> list[str]:
    """The warnings of a configuration that is good."""
    return [str(problem) for problem in loaded(edged, **policies).warnings]  # type: ignore[arg-type]  # of policies alone
