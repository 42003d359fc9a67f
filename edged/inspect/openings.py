"""What the first bytes of a TCP direction say of the protocol that is spoken, and of the host that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edged.inspect.names import dns, http, tls
from edged.inspect.names.answers import Hello, NeedMore

DNS_PORT = 53

_TLS_HANDSHAKE = 0x16
_METHOD_BEGINS = frozenset(range(ord("A"), ord("Z") + 1))
_RESPONSE = b"HTTP/1."


class Opening(NamedTuple):
    """A protocol that was recognised, and the host where it tells one.

    `goes_on`: more requests may come, for other hosts or for media.
    """

    protocol: str
    host: str | None
    goes_on: bool


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A message has begun that will tell; `is_hello` where it is a ClientHello."""

    is_hello: bool


_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long

_INCOMPLETE_HELLO, _INCOMPLETE = Incomplete(is_hello=True), Incomplete(is_hello=False)
_RESPONDED = Opening("http", None, goes_on=True)


def tcp_opening(stream: bytes, fresh: int, port: int) -> Opening | Incomplete | None:
    """What is spoken, by a direction's bytes, of which those from `fresh` on are new; `port` is the lower of the two ends'.

    The bytes need not be known from their very first on: what is no beginning of a message is recognised by nothing.
    """
    first = stream[0]
    if first == _TLS_HANDSHAKE:
        hello = tls.opening(stream)
        if isinstance(hello, Hello):
            return _new(Opening, ("tls", hello.name, False))
        return _INCOMPLETE_HELLO if isinstance(hello, NeedMore) else None
    if port == DNS_PORT:
        messages = dns.messages(stream)
        if isinstance(messages, dns.Messages):
            return Opening("dns", messages.messages[0].name, goes_on=False)
        return _INCOMPLETE if isinstance(messages, NeedMore) else None
    if first in _METHOD_BEGINS:
        return _http(stream, fresh)
    return None


def _http(stream: bytes, fresh: int) -> Opening | Incomplete | None:
    """The request that begins with the fresh bytes, or else the first one."""
    if stream.startswith(_RESPONSE):
        return _RESPONDED
    head = http.request_head(stream[fresh:]) if fresh else http.NOT_HTTP
    if not isinstance(head, http.Request):
        head = http.request_head(stream)
    if isinstance(head, http.Request):
        return Opening("http", head.host, goes_on=True)
    return _INCOMPLETE if isinstance(head, NeedMore) else None
