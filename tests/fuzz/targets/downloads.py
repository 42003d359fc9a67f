"""What a list's server answers, and what the process that hears it tells the daemon."""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast

from edged.fetch.download import DownloadFailed, _store, _target
from edged.fetch.messages import Failure, Fetched, Unchanged, shown, understood, validator
from edged.fetch.reasons import of_network
from tests.fuzz.target import Target

_URL = "https://lists.example.net/drop.json"
_LARGEST = 1 << 16


class _Connection:
    """A socket of which the answer is all that there is."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _reason(data: bytes) -> str:
    """Why what the server answers is not taken; empty where it is."""
    body = io.BytesIO()
    try:
        with of_network(_URL), http.client.HTTPResponse(cast("socket.socket", _Connection(data))) as response:
            response.begin()
            if (location := response.headers["Location"]) is not None:
                shown(_target(_URL, location))
            validator(response.headers["ETag"])
            assert _store(response, body.write, _LARGEST) == len(body.getvalue()) <= _LARGEST
    except DownloadFailed as failed:
        return str(failed)
    return ""


def run(data: bytes) -> None:
    """As an answer of HTTP, and as the line of the process that downloads."""
    assert _reason(data).isprintable()
    try:
        answer = understood(data)
    except (ValueError, RecursionError):
        return
    assert isinstance(answer, Fetched | Unchanged | Failure)


TARGET = Target(
    11,
    run,
    (
        b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x"\r\n\r\nhello',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: //other.example/\xe9 x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b'{"Fetched": {"etag": "", "last_modified": "", "size": 5}}\n',
        b'{"Failure": {"text": "no"}}\n',
    ),
)
