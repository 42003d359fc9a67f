"""BitTorrent with a listed address."""

from __future__ import annotations

from pcaps._common import HOME, STRANGER, ethernet, tcp, write

LISTED = "192.0.2.100"  # rules/lists/drop_v4.json
# BEP 3: the protocol's name, reserved bits, the torrent's hash and the peer's id
HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + bytes(range(100, 120)) + b"-XX0001-abcdefghijkl"


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            tcp(HOME, 40001, LISTED, 6881, "PA", HANDSHAKE),
            tcp(LISTED, 6881, HOME, 40001, "PA", HANDSHAKE, seq=2000, ack=1068),
            tcp(HOME, 40002, STRANGER, 6881, "PA", HANDSHAKE),
            tcp(STRANGER, 6881, HOME, 40002, "PA", HANDSHAKE, seq=2000, ack=1068),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
