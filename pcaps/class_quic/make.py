"""The name of a streaming service in QUIC."""

from __future__ import annotations

from pcaps._common import HOME, STRANGER, WEB, ethernet, udp, write
from tests.unit.inspect.names.hellos import big, named
from tests.unit.inspect.names.initials import crypto, initial

SHORT = b"\x40" + bytes(40)  # a packet with a short header, of which nothing can be read


def capture() -> bytes:
    """The bytes of the capture."""
    hello = big(b"cdn.video.example")  # hosts/streaming.txt has video.example
    return ethernet(
        [
            udp(HOME, 40001, WEB, 443, initial(crypto(0, hello[:1000]), size=1200)),
            udp(HOME, 40001, WEB, 443, initial(crypto(1000, hello[1000:]), number=1, size=1200)),
            udp(WEB, 443, HOME, 40001, SHORT),
            udp(HOME, 40002, STRANGER, 443, initial(crypto(0, named(b"www.other.example")), size=1200)),
            udp(STRANGER, 443, HOME, 40002, SHORT),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
