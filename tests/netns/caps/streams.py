"""Servers of what subscribers watch: TLS with a name, HLS and a film over HTTP, RTMP. The clients are Python's ssl and curl."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edged.addresses import Family
from edged.lab.topology import Host
from tests.netns.caps.certificates import Certificates
from tests.netns.topology import INET

CHUNK = bytes(range(256)) * 64
_REQUEST = b"GET / HTTP/1.1\r\nHost: media\r\n\r\n"
_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n0.ts\n#EXT-X-ENDLIST\n"


# --- TLS ---


def tls_server(shown: Certificates, size: int) -> Callable[[socket.socket], None]:
    """Answers each request line with `size` bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.chain, shown.key)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            while secured.recv(4096):
                send(secured, size)

    return serve


def tls_client(
    host: Host, server: Host, family: Family, port: int, trusted: Certificates, name: str, *, segment: int | None = None
) -> ssl.SSLSocket:
    """A connection on which a request was sent; `segment` is the most payload of one TCP segment, in both directions."""
    context = ssl.create_default_context(cafile=trusted.authority)
    plain = host.socket(INET[family], socket.SOCK_STREAM)
    try:
        plain.settimeout(10)
        if segment is not None:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        plain.bind((str(host.address(family)), 0))
        plain.connect((str(server.address(family)), port))
        secured = context.wrap_socket(plain, server_hostname=name)
        secured.sendall(_REQUEST)
    except BaseException:
        plain.close()
        raise
    return secured


def receive(connection: socket.socket, size: int) -> int:
    """Read that much, or to the end; how much came."""
    came = 0
    while came < size and (data := connection.recv(min(1 << 16, size - came))):
        came += len(data)
    return came


@contextmanager
def consuming(connection: socket.socket) -> Iterator[None]:
    """Read whatever comes, for as long as the context lasts."""

    def consume() -> None:
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        thread.join()
        connection.close()


def send(connection: socket.socket, size: int) -> None:
    """Send that much."""
    for start in range(0, size, len(CHUNK)):
        connection.sendall(CHUNK[: size - start])


# --- HTTP ---


def media_server(size: int) -> Callable[[socket.socket], None]:
    """A playlist, its segments and a film, of `size` bytes each; connections are kept."""

    def serve(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        while request := lines.readline():
            while lines.readline() not in {b"\r\n", b""}:
                pass
            path = request.split()[1]
            if path.endswith(b".m3u8"):
                _answer(connection, "application/vnd.apple.mpegurl", len(_PLAYLIST))
                connection.sendall(_PLAYLIST)
            elif path.endswith(b".ts"):
                _answer(connection, "video/mp2t", size)
                send(connection, size)
            elif path.endswith(b".mp4"):
                _answer(connection, "video/mp4", size)
                send(connection, size)
            else:
                _answer(connection, "application/octet-stream", size)
                send(connection, size)

    return serve


def _answer(connection: socket.socket, kind: str, size: int) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode())


# --- RTMP (Adobe's Real-Time Messaging Protocol specification 1.0) ---

_HANDSHAKE = 1536  # bytes of C1, C2, S1 and S2 (section 5.2)
_COMMANDS, _STREAM = 3, 4  # chunk streams
_SET_CHUNK_SIZE, _VIDEO, _COMMAND = 1, 9, 20  # message types (sections 5.4 and 7.1)
_CHUNK_SIZE = 4096


def rtmp_server(size: int) -> Callable[[socket.socket], None]:
    """Plays `size` bytes of video to each client, whatever it asks for, and ends."""

    def serve(connection: socket.socket) -> None:
        opening = connection.recv(1 + _HANDSHAKE, socket.MSG_WAITALL)  # C0 and C1; S2 repeats C1
        connection.sendall(opening[:1] + bytes(_HANDSHAKE) + opening[1:])
        connection.recv(_HANDSHAKE, socket.MSG_WAITALL)
        connection.sendall(_message(2, _SET_CHUNK_SIZE, 0, struct.pack(">I", _CHUNK_SIZE)))
        # librtmp's own order: connect is transaction 1, createStream 2, play 3 or later
        _await(connection, b"connect")
        connection.sendall(_command(_string("_result") + _number(1) + _STATUS_OBJECT))
        _await(connection, b"createStream")
        connection.sendall(_command(_string("_result") + _number(2) + b"\x05" + _number(1)))
        _await(connection, b"play")
        connection.sendall(_command(_string("onStatus") + _number(0) + b"\x05" + _PLAYING, stream=1))
        for number in range(0, size, 4096):
            body = b"\x17\x01\x00\x00\x00" + CHUNK[:4096]
            connection.sendall(_message(_STREAM, _VIDEO, 1, body, milliseconds=number // 4096))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):  # were anything of the client's left unread, the end would be a reset, and take data with it
            pass

    return serve


def _await(connection: socket.socket, word: bytes) -> None:
    seen = b""
    while word not in seen:
        data = connection.recv(4096)
        if not data:
            raise ConnectionResetError
        seen += data


def _message(stream: int, kind: int, message_stream: int, body: bytes, *, milliseconds: int = 0) -> bytes:
    """A message in chunks: a header of type 0, then of type 3 (section 5.3.1)."""
    head = bytes([stream]) + milliseconds.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind])
    size = _CHUNK_SIZE if kind == _VIDEO else 128
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return head + message_stream.to_bytes(4, "little") + bytes([0xC0 | stream]).join(parts)


def _command(body: bytes, stream: int = 0) -> bytes:
    return _message(_COMMANDS, _COMMAND, stream, body)


def _string(text: str) -> bytes:
    return b"\x02" + struct.pack(">H", len(text)) + text.encode()


def _number(value: float) -> bytes:
    return b"\x00" + struct.pack(">d", value)


def _object(**members: str) -> bytes:
    pairs = b"".join(struct.pack(">H", len(name)) + name.encode() + _string(value) for name, value in members.items())
    return b"\x03" + pairs + b"\x00\x00\x09"


_STATUS_OBJECT = b"\x05" + _object(level="status", code="NetConnection.Connect.Success")
_PLAYING = _object(level="status", code="NetStream.Play.Start")
