"""ClientHellos and TLS records, written byte for byte."""

from __future__ import annotations

NAME = b"www.Example.com"

ALPN = (16, b"\0\x03\x02h2")
KEY_SHARE = (51, b"\x04\xc4\x11\xec\x04\xc0" + bytes(range(256)) * 4 + bytes(192))  # X25519MLKEM768: 1,216 bytes of key
TICKET = (35, bytes(256))
ECH = (0xFE0D, b"\0\0\x01\0\x01" + bytes(40))


def vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content


def server_name(*names: bytes, kind: int = 0) -> tuple[int, bytes]:
    return 0, vector(2, b"".join(bytes([kind]) + vector(2, name) for name in names))


def client_hello(
    *extensions: tuple[int, bytes], session: bytes = bytes(32), suites: bytes = b"\x13\x01\x13\x02", behind: bytes = b""
) -> bytes:
    """The handshake message; without extensions it ends where they would begin, and `behind` stands at its end."""
    body = b"\x03\x03" + bytes(range(32)) + vector(1, session) + vector(2, suites) + b"\1\0"
    if extensions:
        body += vector(2, b"".join(kind.to_bytes(2, "big") + vector(2, value) for kind, value in extensions))
    return b"\1" + vector(3, body + behind)


def named(name: bytes = NAME) -> bytes:
    return client_hello(ALPN, server_name(name), (43, b"\x02\x03\x04"))


def big(name: bytes = NAME) -> bytes:
    """A hello that no segment holds, its name behind a post-quantum key share."""
    return client_hello(TICKET, KEY_SHARE, server_name(name), ALPN)


def records(handshake: bytes, size: int = 1 << 14) -> bytes:
    """The message in records of so many bytes."""
    return b"".join(b"\x16\x03\x01" + vector(2, handshake[at : at + size]) for at in range(0, len(handshake), size))
