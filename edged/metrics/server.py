"""The server of the metrics page: each connection a thread with a bound, as strangers may reach it.

A handshake is made in the connection's own thread, so nobody who connects and then says nothing keeps a scrape waiting.
"""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from edged.config.metrics import Listen
from edged.errors import EdgedError
from edged.metrics.gate import GateKeeper

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 32
_SILENCE = 10.0  # seconds that a connection may say nothing
_LONGEST = 30.0  # seconds that it may take as a whole; Prometheus gives a scrape 10


class _Handler(WSGIRequestHandler):
    """One request; what is wrong with it is told to who sent it, and nobody else."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's signature
        pass

    def get_stderr(self) -> io.StringIO:
        return io.StringIO()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """At most MOST_CONNECTIONS at a time, each for at most _LONGEST seconds."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, listen: Listen, keeper: GateKeeper) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._keeper = keeper
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: dict[int, tuple[socket.socket, float]] = {}  # by thread, with the moment it must have ended
        super().__init__((listen.host, listen.port), _Handler)

    def server_bind(self) -> None:
        """As the base, without its look-up of the host's name, for which no resolver need be there."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's signature
        """Serve the connection in a thread of its own, or close it where there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's signature
        """Make the handshake, serve, close; a connection that ends in the middle is nobody's fault."""
        connection: socket.socket = request
        connection.settimeout(_SILENCE)
        me = threading.get_ident()
        self._open[me] = connection, time.monotonic() + _LONGEST
        try:
            gate = self._keeper.present()
            if gate is None:
                return
            if gate.context is not None:
                secured = gate.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                connection = secured
                self._open[me] = connection, self._open[me][1]
                secured.do_handshake()
            self.finish_request(connection, client_address)
        except OSError:  # ssl's errors too
            pass
        except Exception:  # noqa: BLE001  edged's own fault must not end the daemon
            _log.exception("metrics: a request could not be answered")
        finally:
            del self._open[me]
            self.shutdown_request(connection)
            self._free.release()

    def service_actions(self) -> None:
        """Twice a second: end what takes too long."""
        now = time.monotonic()
        for connection, until in tuple(self._open.values()):
            if now > until:
                with contextlib.suppress(OSError):  # it has ended by itself
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # SSLSocket's own is not for two threads


def serve(listen: Listen, page: WSGIApplication, keeper: GateKeeper) -> Callable[[], None]:
    """Serve the page to whom the gate lets in from now on, and give what ends it. Raises EdgedError."""
    try:
        server = _Server(listen, keeper)
    except OSError as error:
        raise EdgedError(
            f"cannot serve metrics on {listen}: {error.strerror}. Another program may have the port (ss -ltnp); "
            "metrics.listen in edged.yaml chooses another one. The policy is in force without the daemon."
        ) from error
    keeper.present()  # trouble is told at the start, and not at the first scrape
    server.set_app(_guarded(page, keeper))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _guarded(page: WSGIApplication, keeper: GateKeeper) -> WSGIApplication:
    """The page, for those who may read it."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        gate = keeper.present()
        if gate is None:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if gate.admission is not None and not gate.admission.admits(environ.get("HTTP_AUTHORIZATION", "")):
            challenge = 'Basic realm="edged metrics", charset="UTF-8"'
            start_response("401 Unauthorized", [("WWW-Authenticate", challenge), ("Content-Length", "0")])
            return []
        return page(environ, start_response)

    return answer
