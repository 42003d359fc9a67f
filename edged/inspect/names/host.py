"""Host names as they stand in handshakes and requests: read strictly, since half a name or a mended one is a wrong name."""

from __future__ import annotations

import re

_LONGEST_NAME = 253  # RFC 1035 section 2.3.4, less the root's dot

# Letters, digits and hyphens (RFC 1123 section 2.1), and the underscore, which is in use
_NAME = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_IPV6_LITERAL = re.compile(rb"\[[0-9a-f:.]{2,45}\]")
_PORT = re.compile(rb"(?::[0-9]{0,5})?")


def host_name(text: bytes) -> str | None:
    """The host name or IPv4 address, in lower case and without the root's dot; None where the text is neither."""
    name = text.lower().removesuffix(b".")
    return name.decode("ascii") if len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) else None


def host_of(authority: bytes) -> str | None:
    """The host of `host[:port]` (RFC 3986 section 3.2), as `host_name` has it; an IPv6 address keeps its brackets."""
    if authority.startswith(b"["):
        host, bracket, rest = authority.partition(b"]")
        literal = host.lower() + bracket
        return literal.decode("ascii") if _IPV6_LITERAL.fullmatch(literal) and _PORT.fullmatch(rest) else None
    host, colon, port = authority.partition(b":")
    return host_name(host) if not colon or _PORT.fullmatch(colon + port) else None
