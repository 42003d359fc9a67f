"""The name that a DNS message asks for: RFC 1035 section 4, RFC 4343."""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from edged.inspect.names.answers import NEED_MORE, NeedMore

_HEADER = Struct("!6H")
_OPCODES = frozenset((0, 1, 2, 4, 5, 6))  # those that are assigned (IANA DNS parameters)
_LONGEST_NAME = 255  # RFC 1035 section 2.3.4, with its length bytes
_POINTER = 0xC0


def _written(octet: int) -> str:
    """A byte of a label, in lower case, escaped where it is not printable or would be taken for something else (RFC 4343)."""
    if octet in b".\\":
        return "\\" + chr(octet)
    return chr(octet).lower() if 0x21 <= octet <= 0x7E else f"\\{octet:03}"


_PLAIN = re.compile(r"[A-Za-z0-9_-]*", re.ASCII).fullmatch  # what is written as it stands, but for its case
_WRITTEN = tuple(_written(octet) for octet in range(256))


class Message(NamedTuple):
    """A message that is sound to its last byte.

    `name` is that of its first question, in lower case and without the last dot, but `.` for the root; None where it has no
    question.
    """

    name: str | None


class Messages(NamedTuple):
    """The whole messages at the beginning of a TCP direction, and how many of its bytes they take."""

    messages: tuple[Message, ...]
    size: int


@dataclass(frozen=True, slots=True)
class NotDns:
    """What came is not a DNS message, or not a sound one."""


NOT_DNS = NotDns()


def message(data: bytes) -> Message | NotDns:
    """The query or response that a datagram holds."""
    if len(data) < _HEADER.size:
        return NOT_DNS
    _, flags, questions, *records = _HEADER.unpack_from(data)
    if flags >> 11 & 0xF not in _OPCODES:
        return NOT_DNS
    at = _HEADER.size
    for _ in range(questions):
        at = _behind_name(data, at) + 4
        if at > len(data):
            return NOT_DNS
    for _ in range(sum(records)):
        at = _behind_name(data, at) + 10
        at += int.from_bytes(data[at - 2 : at], "big")
        if at > len(data):
            return NOT_DNS
    if at != len(data):
        return NOT_DNS
    return Message(_first_name(data) if questions else None)


def messages(stream: bytes) -> Messages | NeedMore | NotDns:
    """The messages that a TCP direction begins with, each behind its length (RFC 1035 section 4.2.2).

    `stream` is in order, without a hole and from a message's beginning on. Behind a message that is not sound none is read.
    """
    found: list[Message] = []
    at = 0
    while len(stream) - at >= 2:
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        if end - at < 2 + _HEADER.size:
            break
        if end > len(stream):
            return Messages(tuple(found), at) if found else NEED_MORE
        one = message(stream[at + 2 : end])
        if isinstance(one, NotDns):
            break
        found.append(one)
        at = end
    if found:
        return Messages(tuple(found), at)
    return NEED_MORE if len(stream) < 2 else NOT_DNS


def _behind_name(data: bytes, at: int) -> int:
    """The place behind a name; beyond the end of `data` where the name is not sound."""
    begin, beyond = at, len(data) + 1
    while at < len(data) and at - begin < _LONGEST_NAME:
        length = data[at]
        if length == 0:
            return at + 1
        if length >= _POINTER:  # RFC 1035 section 4.1.4: to what came before
            target = int.from_bytes(data[at : at + 2], "big") & 0x3FFF
            return at + 2 if _HEADER.size <= target < begin else beyond
        if length > 63:
            return beyond
        at += 1 + length
    return beyond


def _first_name(data: bytes) -> str:
    """The name of the first question, which is sound, and holds no pointer, as nothing came before it."""
    labels: list[str] = []
    at = _HEADER.size
    while length := data[at]:
        label = data[at + 1 : at + 1 + length]
        plain = label.decode("latin-1")
        labels.append(plain.lower() if _PLAIN(plain) else "".join([_WRITTEN[octet] for octet in label]))
        at += 1 + length
    return ".".join(labels) or "."
