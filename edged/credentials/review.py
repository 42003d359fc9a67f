"""What keeps the metrics page's certificates and passwords from being used, at the key or the line that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from edged.config.document import Document
from edged.config.files import DiskFiles, Unreadable, shown_path
from edged.config.metrics import Metrics, Tls
from edged.config.problem import Finding, Problem, Severity
from edged.credentials.passwords import parse_users
from edged.credentials.tls import TlsUnusable, expiry, server_context


def review(metrics: Metrics, document: Document, folder: Path, now: datetime) -> Iterator[Problem]:
    """Every problem of the files that the section names, which are read where they lie; `folder` is edged.yaml's."""
    if metrics.tls is not None:
        yield from map(document.problem, _tls(metrics.tls, folder, now))
    if metrics.basic_auth_users_file is not None:
        yield from _users(metrics.basic_auth_users_file, document, folder)


def _tls(tls: Tls, folder: Path, now: datetime) -> Iterator[Finding]:
    section = ("metrics", "tls")
    try:
        server_context(tls)
    except TlsUnusable as error:
        yield Finding((*section, error.key), f"{shown_path(getattr(tls, error.key), folder)} {error}")
        return
    if odd := expiry(tls, now):
        yield Finding((*section, "cert_file"), f"the certificate {odd}", Severity.WARNING)


def _users(path: Path, document: Document, folder: Path) -> Iterator[Problem]:
    name = shown_path(path, folder)
    try:
        bad = parse_users(DiskFiles().read(path)).bad
    except Unreadable as error:
        yield document.problem(Finding(("metrics", "basic_auth_users_file"), f"{name} {error}"))
        return
    yield from (Problem(name, each.line, 1, "", each.message) for each in bad)
