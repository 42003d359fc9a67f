"""A BitTorrent flow beside one of which nothing is known."""

from __future__ import annotations

from pcaps._common import CLIENT, HOME, SERVER, STRANGER, WEB, connection, ethernet, write

# BEP 3: the protocol's name, reserved bits, the torrent's hash and the peer's id
HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + bytes(range(100, 120)) + b"-XX0001-abcdefghijkl"
UNCHOKE = b"\0\0\0\1\1"
NOBODYS = bytes((37 * number + 11) & 0xFF for number in range(300))


def capture() -> bytes:
    """The bytes of the capture."""
    swarm = ((CLIENT, HANDSHAKE), (SERVER, HANDSHAKE[:-1] + b"m"), (SERVER, UNCHOKE))
    return ethernet(
        [
            *connection(HOME, 40001, STRANGER, 6881, *swarm),
            *connection(HOME, 40002, WEB, 443, (CLIENT, NOBODYS), (SERVER, NOBODYS[::-1])),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
