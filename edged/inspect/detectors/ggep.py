"""Gnutella's extension blocks (GGEP 0.51): whether bytes are one."""

from __future__ import annotations

_MAGIC = 0xC3
_LAST, _RESERVED, _NAME = 0x80, 0x10, 0x0F  # in the flags before a name
_MORE, _ENDS, _DIGIT = 0x80, 0x40, 0x3F  # in each byte of a length


def is_ggep(data: bytes) -> bool:
    """Whether `data` is a block from its first byte to its last; after the last extension nothing follows."""
    size = len(data)
    if size < 4 or data[0] != _MAGIC:
        return False
    at = 1
    while at < size:
        flags = data[at]
        name = flags & _NAME
        at += 1 + name
        if not name or flags & _RESERVED or at >= size or not data[at - name : at].isascii():
            return False
        length = 0
        for _ in range(3):  # a length has three bytes at most
            if at >= size:
                return False
            byte = data[at]
            length, at = length << 6 | byte & _DIGIT, at + 1
            if byte & _ENDS:
                break
        if not byte & _ENDS or byte & _MORE:
            return False
        at += length
        if flags & _LAST:
            return at == size
    return False
