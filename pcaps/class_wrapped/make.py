"""Peer-to-peer in a tunnel, and in pieces."""

from __future__ import annotations

from pcaps._common import HOME, HOME6, STRANGER, WEB6, ethernet, ip, pieces, udp, write

INNER = "198.18.0.2"  # the subscriber's, inside the tunnel
NODE = b"abcdefghij0123456789"
# BEP 5: a query, and its answer with peers
QUERY = b"d1:ad2:id20:" + NODE + b"9:info_hash20:" + NODE + b"e1:q9:get_peers1:t2:aa1:y1:qe"
ANSWER = b"d1:rd2:id20:" + NODE + b"5:token8:aoeusnth6:valuesl" + b"6:\xcb\0\x71\x09\xc8\xd5" * 9 + b"ee1:t2:aa1:y1:re"


def capture() -> bytes:
    """The bytes of the capture."""
    return ethernet(
        [
            ip(HOME6, WEB6) / udp(INNER, 40001, STRANGER, 6881, QUERY),
            ip(WEB6, HOME6) / udp(STRANGER, 6881, INNER, 40001, ANSWER),
            udp(HOME, 40002, STRANGER, 6882, QUERY),
            *pieces(udp(STRANGER, 6882, HOME, 40002, ANSWER), 96),
        ]
    )


if __name__ == "__main__":
    write(__file__, capture())
