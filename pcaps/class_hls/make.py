"""A video in pieces over HTTP, told by its content type."""

from __future__ import annotations

from pcaps._common import CLIENT, HOME, SERVER, WEB, connection, ethernet, write


def get(target: bytes) -> bytes:
    """A request."""
    return b"GET " + target + b" HTTP/1.1\r\nHost: www.example\r\n\r\n"


def answer(media_type: bytes, body: bytes) -> bytes:
    """The answer to it."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (media_type, len(body), body)


def capture() -> bytes:
    """The bytes of the capture."""
    # RFC 8216: the type of a playlist, section 10, and what one begins with, section 4.3.1.1
    playlist = answer(b"application/vnd.apple.mpegurl", b"#EXTM3U\n#EXTINF:6,\n1.ts\n")
    page = answer(b"text/html", b"<!doctype html><title>a page</title>")
    return ethernet(
        [
            *connection(HOME, 40001, WEB, 80, (CLIENT, get(b"/live")), (SERVER, playlist)),
            *connection(HOME, 40002, WEB, 80, (CLIENT, get(b"/")), (SERVER, page)),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
