"""A real HTTPS server on loopback whose pages are functions, some of them ill-behaved."""

from __future__ import annotations

import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from edged.kernel.namespace import inside
from tests.fetch.authority import Certificate


class Handler(BaseHTTPRequestHandler):
    """What answers one request, by the server's page at that path."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append(self)
        self.server.pages[self.path.partition("?")[0]](self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass

    def head(self, status: int, **fields: str) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


Page = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """Pages at paths; `asked` has the requests in the order they came."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._context = context
        self.pages: dict[str, Page] = {}
        self.asked: list[Handler] = []
        self.over = threading.Event()

    def url(self, path: str = "/list") -> str:
        return f"https://127.0.0.1:{self.server_port}{path}"

    def get_request(self) -> tuple[socket, Any]:
        plain, address = super().get_request()
        # the handshake is made by the first read, in the request's own thread
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are what these tests are about."""


@contextmanager
def serving(certificate: Certificate, newest: ssl.TLSVersion | None = None, netns: str | None = None) -> Iterator[Server]:
    """A server with that certificate, which speaks no newer TLS than `newest`, on the loopback of a network namespace."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    if newest is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):  # that it is old is the point
            context.minimum_version = context.maximum_version = newest
    with Server(context) if netns is None else inside(netns, lambda: Server(context)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def content(body: bytes, **fields: str) -> Page:
    """The body with its length; other fields as they are given."""

    def page(handler: Handler) -> None:
        handler.head(200, Content_Length=str(len(body)), **fields)
        handler.wfile.write(body)

    return page


def status(number: int, **fields: str) -> Page:
    """An answer without a body."""

    def page(handler: Handler) -> None:
        handler.head(number, Content_Length="0", **fields)

    return page


def redirect(to: str, number: int = 302) -> Page:
    return status(number, Location=to)


def chunked(*chunks: bytes, properly: bool = False) -> Page:
    """A body of unknown length, in chunks; without an empty one at the end it is cut, and `properly` so, with TLS's alert."""

    def page(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        for chunk in chunks:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if properly:
            close(handler)

    return page


def cut(promised: int, body: bytes) -> Page:
    """Fewer bytes than were promised, and a proper end of the connection."""

    def page(handler: Handler) -> None:
        handler.head(200, Content_Length=str(promised))
        handler.wfile.write(body)
        close(handler)

    return page


def until_closed(body: bytes, properly: bool) -> Page:
    """A body that the end of the connection ends: with TLS's closure alert, or just so."""

    def page(handler: Handler) -> None:
        handler.head(200)
        handler.wfile.write(body)
        if properly:
            close(handler)

    return page


def close(handler: Handler) -> None:
    """Sends TLS's closure alert, and waits a moment for the other's, which never comes."""
    handler.connection.settimeout(0.05)
    handler.connection.unwrap()


def trickle(handler: Handler) -> None:
    """A byte every tenth of a second, for as long as the server lives."""
    handler.head(200, Content_Length="1000000")
    while not handler.server.over.wait(0.1):
        handler.wfile.write(b"#")


def silence(handler: Handler) -> None:
    """No answer at all."""
    handler.server.over.wait()
