"""The name of a streaming service, cut in two."""

from __future__ import annotations

from pcaps._common import CLIENT, HOME, SERVER, STRANGER, WEB, connection, ethernet, write
from tests.unit.inspect.names.hellos import big, named, records

NAME = b"cdn.video.example"  # hosts/streaming.txt has video.example
ALERT = b"\x15\x03\x03\0\2\2\x28"  # RFC 8446 section 6: how the server ends it


def capture() -> bytes:
    """The bytes of the capture."""
    hello = records(big(NAME))
    cut = hello.index(NAME) + 6
    return ethernet(
        [
            *connection(HOME, 40001, WEB, 443, (CLIENT, hello[:cut]), (CLIENT, hello[cut:]), (SERVER, ALERT)),
            *connection(HOME, 40002, STRANGER, 443, (CLIENT, records(named(b"www.other.example"))), (SERVER, ALERT)),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
