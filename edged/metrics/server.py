"""The HTTP server of the metrics page: a thread a scrape, of which there are few at once.

At most MOST connections are open, each with PATIENCE seconds to ask, and as long to take the answer; whoever opens more closes
its own first. A connection ends with its answer.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from threading import Condition, Thread
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler

from edged.admission import Admission
from edged.config.metrics import Listen

_log = logging.getLogger(__name__)

MOST = 32
PATIENCE = 5.0
_SWEEP_SECONDS = 0.5
_SCARCE_SECONDS = 0.2  # no descriptor or thread was left for a connection


def serve_registry(listen: Listen, registry: CollectorRegistry) -> Callable[[], None]:
    """Serve what the registry collects from now on, and give what ends it. Raises OSError where the address cannot be used."""
    server = _Server(listen, registry)
    thread = Thread(target=server.serve_forever, args=(_SWEEP_SECONDS,), name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Server(ThreadingHTTPServer):
    """Lets connections in by `Admission`; the accepting thread and those of the connections share it under one lock."""

    request_queue_size = 128  # of connections that have not been accepted yet

    def __init__(self, listen: Listen, registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._admission = Admission[socket.socket](MOST, PATIENCE)
        self._changed = Condition()
        handler = type("_Handler", (_Handler,), {"registry": registry})
        super().__init__((listen.host, listen.port), handler)

    def server_bind(self) -> None:
        """Bind; without the look-up of a host name that HTTPServer would do."""
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, once there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._admission.has_room)
        try:
            return super().get_request()
        except OSError as error:
            _log.warning("metrics: no connection can be taken for now: %s", error)
            self._send_away(overdue_at=float("inf"))
            time.sleep(_SCARCE_SECONDS)  # the connection still waits, so that selecting it again returns at once
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as socketserver has it
        """Let the connection in, and give it a thread."""
        with self._changed:
            gone = self._admission.admit(request, time.monotonic())
        if gone is not None:
            _shut(gone)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  as socketserver has it
        """The connection ends."""
        with self._changed:
            self._admission.leave(request)
            self._changed.notify_all()
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Send away who has taken too long; called after each connection, and each sweep."""
        self._send_away(overdue_at=time.monotonic())

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002  as socketserver has it
        """A connection that broke off is its peer's business; what else went wrong is told in the log."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("metrics: a scrape failed")

    @contextmanager
    def answering(self, request: socket.socket) -> Iterator[None]:
        """Its request is whole: it is not sent away before it is answered."""
        with self._changed:
            self._admission.begin(request)
        try:
            yield
        finally:
            with self._changed:
                self._admission.end(request, time.monotonic())
                self._changed.notify_all()

    def _send_away(self, overdue_at: float) -> None:
        with self._changed:
            late = self._admission.overdue(overdue_at)
        for request in late:
            _shut(request)


class _Handler(MetricsHandler):
    """One connection: one request, one answer."""

    timeout = PATIENCE  # of each read, and of each write

    def do_GET(self) -> None:  # noqa: N802  as http.server has it
        """Answer a scrape."""
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101  nobody else makes handlers
        with server.answering(self.request):
            super().do_GET()


def _shut(request: socket.socket) -> None:
    """End a connection under its thread, which then closes it."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
