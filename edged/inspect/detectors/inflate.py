"""Compressed payloads, in bounded space."""

from __future__ import annotations

import zlib

_MOST = 16_384
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS  # the header tells which


def inflated(packed: bytes) -> bytes:
    """The first 16 KiB of what zlib or gzip packed; empty where it is neither, or damaged."""
    try:
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(packed, _MOST)
    except zlib.error:
        return b""
