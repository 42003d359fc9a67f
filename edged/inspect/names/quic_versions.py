"""The versions of QUIC whose Initial packets are read: RFC 9000 and its drafts, RFC 9369, and mvfst, which went by drafts."""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    """What a version has of its own.

    `salt` is that of the Initial secrets; `key`, `iv` and `header` are what HKDF-Expand is given to make a key, an IV and the key
    of header protection. `initial` and `retry` are packet types, the bits 0x30 of a long header's first byte.
    """

    salt: bytes
    key: bytes
    iv: bytes
    header: bytes
    initial: int
    retry: int


def expansion(label: bytes, length: int) -> bytes:
    """HkdfLabel with an empty context (RFC 8446 section 7.1), and the number of the first block, which is enough (RFC 5869)."""
    full = b"tls13 " + label
    return length.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0\1"


def _version(salt: str, labels: bytes = b"quic", initial: int = 0, retry: int = 3) -> Version:
    key, iv, header = expansion(labels + b" key", 16), expansion(labels + b" iv", 12), expansion(labels + b" hp", 16)
    return Version(bytes.fromhex(salt), key, iv, header, initial, retry)


_V1 = _version("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001 section 5.2, as in the drafts from 33 on
_V2 = _version("0dede3def700a6db819381be6e269dcbf9bd2ed9", b"quicv2", initial=1, retry=0)  # RFC 9369 section 3
# draft-ietf-quic-tls, section 5.2: the salts that came with drafts 29, 23 and 21
_DRAFT_29 = _version("afbfec289993d24c9e9786f19c6111e04390a899")
_DRAFT_23 = _version("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_DRAFT_21 = _version("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")

VERSIONS = {
    0x0000_0001: _V1,
    0x6B33_43CF: _V2,
    **{0xFF00_0000 | draft: _DRAFT_23 for draft in range(23, 29)},
    **{0xFF00_0000 | draft: _DRAFT_29 for draft in range(29, 33)},
    **{0xFF00_0000 | draft: _V1 for draft in range(33, 35)},
    # mvfst: by draft 22, by draft 27, and its experimental version
    0xFACE_B001: _DRAFT_21,
    0xFACE_B002: _DRAFT_23,
    0xFACE_B00E: _DRAFT_23,
}


def is_reserved(version: int) -> bool:
    """Whether no server speaks it (RFC 9000 section 15): a client that opens with it learns the server's, and opens again."""
    return version & 0x0F0F_0F0F == 0x0A0A_0A0A
