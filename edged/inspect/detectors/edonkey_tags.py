"""eDonkey's tags, by which its messages over TCP and UDP alike describe clients, servers and files.

Source: The eMule Protocol Specification (Kulbak, Bickson, 2005), section 6.1.3.
"""

from __future__ import annotations

MOST_TAGS = 32

_SHORT_NAME = 0x80  # the name is one byte, without its length
_TYPES = frozenset((*range(1, 12), *range(0x11, 0x21)))  # hash to 64-bit integer; strings of 1 to 16 bytes
_LONGEST_NAME = 32


def is_tag(data: bytes, at: int) -> bool:
    """Whether a tag begins there: its type, and the length of its name."""
    if len(data) < at + 3:
        return False
    if data[at] & ~_SHORT_NAME not in _TYPES:
        return False
    return bool(data[at] & _SHORT_NAME) or (data[at + 2] == 0 and 0 < data[at + 1] <= _LONGEST_NAME)


def is_tag_list(data: bytes, at: int) -> bool:
    """Whether a count of 32 bits and the first of so many tags stand there."""
    return 0 < int.from_bytes(data[at : at + 4], "little") <= MOST_TAGS and is_tag(data, at + 4)
