"""Requests to the metrics page, by whoever reaches it."""

from __future__ import annotations

import io
import socket
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from edged.metrics.basicauth import BasicAuth, _basic
from edged.metrics.gate import Gate, GateKeeper
from edged.metrics.server import _guarded, _Handler
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from edged.metrics.server import _Server


class _Connection:
    """A socket of which the request is all that there is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.said = b""

    def makefile(self, _mode: str, _buffering: int) -> io.BytesIO:
        return io.BytesIO(self._data)

    def sendall(self, data: bytes) -> None:
        self.said += data


class _NoHash(BasicAuth):
    """Users without hashes, which would take all the time."""

    def admits(self, authorization: str) -> bool:
        return _basic(authorization) == (b"prometheus", b"right")


def _page(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"edged_enforcement_in_sync 1\n"]


_GATE = Gate(None, _NoHash({}))
_SERVER = cast("_Server", SimpleNamespace(base_environ={}, server_name="x", server_port=1, answering=nullcontext))
_APP = _guarded(_page, cast("GateKeeper", SimpleNamespace(present=lambda: _GATE)), _SERVER)
cast("SimpleNamespace", _SERVER).get_app = lambda: _APP


def run(data: bytes) -> None:
    """Answered, and with the page only by the password."""
    connection = _Connection(data)
    _Handler(cast("socket.socket", connection), ("192.0.2.1", 1), _SERVER)
    assert b" 500 " not in connection.said[:20], connection.said
    assert b"edged_enforcement" not in connection.said or b"asic" in data.lower()


TARGET = Target(
    11,
    run,
    (
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
        b"GET /metrics?name[]=x HTTP/1.0\r\nAuthorization: Basic cHJvbWV0aGV1czpyaWdodA==\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET\r\n",
    ),
)
