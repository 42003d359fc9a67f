"""Mutations without a guide: what a run without atheris has, the same ones for the same seed of chance."""

from __future__ import annotations

import random

_ODD = (b"", b"\0", b"\xff\xff\xff\xff", b"\x80\0", b"\r\n\r\n", b"%s", b"1e999", b"/33", b"::", b"\xef\xbb\xbf", b"9" * 40)
_LONGEST = 1 << 16


def mutated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """The bytes with some changed, cut off, doubled, or taken from the other ones."""
    made = bytearray(data)
    for _ in range(1 + chance.randrange(4)):
        at, length = chance.randrange(len(made) + 1), chance.randrange(1, 40)
        match chance.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(made):
                made[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, made[at] + 1 & 0xFF))
            case 2:
                del made[at : at + length]
            case 3:
                made[at:at] = made[at : at + length] * chance.choice((1, 1, 1, 50))
            case 4:
                start = chance.randrange(len(other) + 1)
                made[at:at] = other[start : start + length]
            case _:
                made[at:at] = chance.choice(_ODD)
    return bytes(made[:_LONGEST])
