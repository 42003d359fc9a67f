"""What the metrics page's server goes by: the TLS context and the users, read anew as soon as their files change."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.config.files import DiskFiles, Unreadable
from edged.config.metrics import Metrics
from edged.control.messages import Degraded
from edged.credentials.passwords import parse_users
from edged.credentials.tls import TlsUnusable, server_context
from edged.metrics.basicauth import BasicAuth

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gate:
    """How a connection is let in; None: in the clear, and everybody."""

    context: ssl.SSLContext | None
    users: BasicAuth | None


class GateKeeper:
    """The present gate, for any thread; `settings` is asked at each connection, so a reload needs no more than its own end.

    Certificates are renewed by other programs at their own times. Where files change and cannot be used the former ones serve
    on; where the settings do, nobody is let in: what asked for TLS is never served without.
    """

    def __init__(self, settings: Callable[[], Metrics]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made_of: tuple[Metrics, tuple[object, ...]] | None = None
        self._gate: Gate | None = None
        self.degraded: Degraded | None = None  # where the files as they are now are not used

    def present(self) -> Gate | None:
        """The gate by the files as they are now; None where nobody can be let in."""
        with self._lock:
            settings = self._settings()
            made_of = (settings, tuple(map(_signature, _files(settings))))
            if made_of == self._made_of:
                return self._gate
            same_settings = self._made_of is not None and settings == self._made_of[0]
            self._made_of = made_of
            try:
                self._gate, self.degraded = _open(settings), None
            except _Unusable as error:
                if not same_settings:
                    self._gate = None
                instead = "the former files serve on" if self._gate else "nobody can read the metrics"
                self.degraded = {"what": "metrics", "why": str(error), "instead": instead}
                _log.error("metrics: %s; %s", error, instead)
            return self._gate


class _Unusable(Exception):
    """The files of the settings cannot be used."""


def _open(settings: Metrics) -> Gate:
    """The gate of these settings. Raises _Unusable."""
    try:
        context = server_context(settings.tls) if settings.tls is not None else None
    except TlsUnusable as error:
        raise _Unusable(f"metrics.tls.{error.key} {error}") from None
    path = settings.basic_auth_users_file
    if path is None:
        return Gate(context, None)
    try:
        users = parse_users(DiskFiles().read(path))
    except Unreadable as error:
        raise _Unusable(f"metrics.basic_auth_users_file {error}") from None
    if users.bad:
        raise _Unusable(f"metrics.basic_auth_users_file is wrong in line {users.bad[0].line}: {users.bad[0].message}")
    return Gate(context, BasicAuth(users.by_name))


def _files(settings: Metrics) -> tuple[Path, ...]:
    tls = settings.tls
    named = (settings.basic_auth_users_file, *((tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()))
    return tuple(path for path in named if path is not None)


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
