"""The server of the metrics page: each connection a thread with a bound, as strangers may reach it.

A handshake is made in the connection's own thread, so nobody who connects and then says nothing keeps a scrape waiting; and where
there are too many connections, those that have waited longest make room.
"""

from __future__ import annotations

import contextlib
import io
import logging
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from edged.admission import Admission
from edged.config.metrics import Listen
from edged.errors import EdgedError
from edged.metrics.gate import GateKeeper

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 256
_LEAVING = 8  # beside those: connections that were sent away, and whose threads have yet to end
_PATIENCE = 5.0  # seconds to shake hands and to ask, and as many to take the answer
_GRACE = 0.2  # seconds; where its client gets no processor, a request comes that much later than its connection
_LOOK_SECONDS = 0.01  # at who can be sent away
_SCARCE_SECONDS = 0.2
_CONNECTION = "edged.connection"


class _Handler(WSGIRequestHandler):
    """One request; what is wrong with it is told to who sent it, and nobody else."""

    def get_environ(self) -> WSGIEnvironment:
        return super().get_environ() | {_CONNECTION: self.connection}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's signature
        pass

    def get_stderr(self) -> io.StringIO:
        return io.StringIO()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Lets connections in by Admission; whoever has to go has its socket shut down, which ends its thread."""

    daemon_threads = True
    request_queue_size = 1024  # where it is full a SYN is lost, and said again only after a second

    def __init__(self, listen: Listen, keeper: GateKeeper) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._keeper = keeper
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS + _LEAVING)
        self._admitting = threading.Condition()  # all threads tell the admission what they are at
        self._admission = Admission[socket.socket](MOST_CONNECTIONS, _PATIENCE, _GRACE)
        super().__init__((listen.host, listen.port), _Handler)

    def server_bind(self) -> None:
        """As the base, without its look-up of the host's name, for which no resolver need be there."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, its handshake to come. Raises OSError where nobody can be let in, for the base to go on."""
        try:
            connection, address = super().get_request()
        except OSError:
            time.sleep(_SCARCE_SECONDS)  # where descriptors have run out, who waits for one is there again at once
            raise
        gate = self._keeper.present()
        if gate is None:
            connection.close()
            raise ConnectionRefusedError
        connection.settimeout(_PATIENCE)
        if gate.context is not None:
            connection = gate.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's signature
        """Serve the connection in a thread of its own, in place of another where there are too many."""
        if not self._slots.acquire(timeout=_PATIENCE):
            self.shutdown_request(request)
            return
        if self._admit(request):
            super().process_request(request, client_address)
        else:
            self._slots.release()
            self.shutdown_request(request)

    def _admit(self, connection: socket.socket) -> bool:
        """Whether the connection is let in; where another is to make room, once that one had its time."""
        with self._admitting:
            while not self._admission.has_room:
                if self._admission.is_busy:
                    return False
                if (gone := self._admission.to_go(time.monotonic(), _is_unheard)) is not None:
                    self._admission.leave(gone)
                    _shut_down(gone)
                else:
                    self._admitting.wait(_LOOK_SECONDS)
            self._admission.admit(connection, time.monotonic())
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base's signature
        """Make the handshake, serve, close; a connection that ends in the middle is nobody's fault."""
        try:
            if hasattr(request, "do_handshake"):
                request.do_handshake()
            self.finish_request(request, client_address)
        except OSError:  # ssl's errors too
            pass
        except Exception:  # noqa: BLE001  edged's own fault must not end the daemon
            _log.exception("metrics: a request could not be answered")
        finally:
            with self._admitting:
                self._admission.leave(request)
                self._admitting.notify()
            self.shutdown_request(request)
            self._slots.release()

    @contextlib.contextmanager
    def answering(self, connection: socket.socket) -> Iterator[None]:
        """While its answer is made a connection is not sent away."""
        with self._admitting:
            self._admission.begin(connection)
        try:
            yield
        finally:
            with self._admitting:
                self._admission.end(connection, time.monotonic())

    def service_actions(self) -> None:
        """Twice a second: end what takes too long."""
        with self._admitting:
            for connection in self._admission.overdue(time.monotonic()):
                _shut_down(connection)


def _is_unheard(connection: socket.socket) -> bool:
    """Whether something lies there that its thread, which others may keep from its processor, has not read yet."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _shut_down(connection: socket.socket) -> None:
    """End it for the thread that serves it; under the admission's lock, so that no other has its descriptor yet."""
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
    server.set_app(_guarded(page, keeper, server))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _guarded(page: WSGIApplication, keeper: GateKeeper, server: _Server) -> WSGIApplication:
    """The page, for those who may read it."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        gate = keeper.present()
        if gate is None:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if gate.users is not None and not gate.users.admits(environ.get("HTTP_AUTHORIZATION", "")):
            challenge = 'Basic realm="edged metrics", charset="UTF-8"'
            start_response("401 Unauthorized", [("WWW-Authenticate", challenge), ("Content-Length", "0")])
            return []
        with server.answering(environ[_CONNECTION]):
            return page(environ, start_response)

    return answer
