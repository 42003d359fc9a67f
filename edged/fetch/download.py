"""One download by https, on the standard library: redirects, validators, bounds on size and time, and a body that is whole."""

from __future__ import annotations

import encodings.idna  # the standard library imports these when it meets a name, which is too late: see __main__
import encodings.punycode  # noqa: F401
import http.client
import signal
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from string import punctuation
from types import FrameType
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from edged import __version__
from edged.fetch.messages import Answer, Fetched, Order, Unchanged, shown, validator
from edged.fetch.reasons import DownloadFailed, TooSlow, of_network, of_status, of_storage, too_large

__all__ = ["DownloadFailed", "download"]

_REDIRECTS = 5
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_BLOCK = 64 * 1024


def download(order: Order, descriptor: int) -> Answer:
    """Fetches what the order names into an empty file. Raises DownloadFailed; what the file holds then is worth nothing."""
    with _deadline(order.seconds), open(descriptor, "wb", buffering=0, closefd=False) as into:
        opener = _opener(order.authorities)
        response, url = _follow(opener, order)
        with response, of_network(url):
            if response.status == 304 and order.conditional:
                return Unchanged()
            if response.status != 200:
                raise of_status(response.status, url)
            return Fetched(
                validator(response.headers["ETag"]),
                validator(response.headers["Last-Modified"]),
                _store(response, into.write, order.largest),
            )


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Ends the block with DownloadFailed when the time is up, wherever it waits, but for a name's resolution in the C library."""

    def too_late(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_late)
    # again every second: an exception out of a signal handler is lost where a finaliser runs
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    except TooSlow:
        raise DownloadFailed(f"it took longer than {seconds:g} s; try again later, or allow it more time") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Connection(http.client.HTTPSConnection):
    """TLS that tells a closed connection from one that was cut, where only the end of the connection ends the body."""

    def connect(self) -> None:
        super().connect()
        # RFC 9112 section 9.8: without a closure alert such a body is incomplete
        self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # typeshed leaves it out


class _Https(urllib.request.HTTPSHandler):
    """urllib's own handler, on that connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._trusted = context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request, context=self._trusted)


def _opener(authorities: str) -> urllib.request.OpenerDirector:
    """An opener that knows https and the environment's proxies, and hands back every answer as it is."""
    try:
        context = ssl.create_default_context(cadata=authorities or None)
    except ssl.SSLError as wrong:
        raise DownloadFailed("the file of authorities to trust holds no certificates in PEM; look at it") from wrong
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    opener = urllib.request.OpenerDirector()
    opener.addheaders = [("User-Agent", f"edged/{__version__}")]
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Https(context))
    return opener


def _follow(opener: urllib.request.OpenerDirector, order: Order) -> tuple[http.client.HTTPResponse, str]:
    """The first answer that is no redirect, and the URL that gave it."""
    url = order.url
    for _ in range(_REDIRECTS + 1):
        with of_network(url):
            response: http.client.HTTPResponse = opener.open(_request(url, order), timeout=order.seconds)
        target = response.headers["Location"]
        if response.status not in _REDIRECTING or target is None:
            return response, url
        response.close()
        came_from, url = url, _target(url, target)
        if urlsplit(url).scheme != "https":
            raise DownloadFailed(
                f"{shown(came_from)} redirects to {shown(url)}, and edged follows to https:// alone: whoever is on the way "
                "could change anything else. Ask the list's publisher for another URL"
            )
    raise DownloadFailed(f"it is redirected more than {_REDIRECTS} times, at last to {shown(url)}; look at the URL in a browser")


def _target(url: str, location: str) -> str:
    try:
        # as it came, but for blanks and what is no ASCII (http.client reads header fields as ISO 8859-1)
        return urljoin(url, quote(location, safe=punctuation, encoding="iso-8859-1"))
    except ValueError:
        raise DownloadFailed(f"{shown(url)} redirects to what is no URL; ask the list's publisher") from None


def _request(url: str, order: Order) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise DownloadFailed("edged fetches by https:// alone: whoever is on the way could change anything else. Change the URL")
    user, at, host = parts.netloc.rpartition("@")
    if not parts.hostname or not host:
        raise DownloadFailed("the URL names no host; it must look like https://host/path")
    request = urllib.request.Request(urldefrag(parts._replace(netloc=host).geturl()).url)  # noqa: S310  https, see above
    request.add_header("Accept-Encoding", "identity")
    if at:
        # RFC 7617; a redirect that names a host brings its own name and password or none
        request.add_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    if order.etag:
        request.add_header("If-None-Match", order.etag)
    if order.last_modified:
        request.add_header("If-Modified-Since", order.last_modified)
    return request


def _store(response: http.client.HTTPResponse, write: Callable[[bytes], int | None], largest: int) -> int:
    """Writes the whole body; the number of its bytes."""
    promised = response.length
    if promised is not None and promised > largest:
        raise too_large(largest, promised)
    size = 0
    while block := response.read(_BLOCK):
        size += len(block)
        if size > largest:
            raise too_large(largest)
        _write(write, block)
    if promised is not None and size < promised:
        raise DownloadFailed(f"the body was cut: {size} of {promised} bytes came; try again later")
    return size


def _write(write: Callable[[bytes], int | None], block: bytes) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[write(bytes(rest)) or 0 :]
    except OSError as failed:
        raise of_storage(failed) from failed
