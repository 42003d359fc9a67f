"""Kad, the DHT of eMule, over UDP: protocol byte, opcode, and a structure of its own for each opcode.

Nothing in a message says Kad but its first two bytes, so a message is enough by itself only where its structure leaves chance no
room; of others the datagram before, the other way, must be a message too. Numbers are little-endian. Source: the messages of
eMule 0.50 and aMule 2.3, as their public descriptions list them. What eMule obfuscates is not recognised.
"""

from __future__ import annotations

from edged.inspect.detectors.edonkey_tags import MOST_TAGS, is_tag
from edged.inspect.detectors.inflate import inflated
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_KAD, _KAD_PACKED = 0xE4, 0xE5

_BOOTSTRAP, _HELLO, _HELLO_ANSWER, _REQUEST, _ANSWER = 0x09, 0x11, 0x19, 0x21, 0x29
_SEARCH_KEY, _SEARCH_SOURCE, _SEARCH_NOTES, _SEARCH_ANSWER = 0x33, 0x34, 0x35, 0x3B
_PUBLISH_KEY, _PUBLISH_SOURCE, _PUBLISH_NOTES = 0x43, 0x44, 0x45
_CONTACT = 25  # identifier 16, address 4, UDP port 2, TCP port 2, version 1
_NEWEST = 0x0F  # version of Kad; 9 or 10 is what runs
_MOST_CONTACTS, _MOST_RESULTS = 200, 300

# The whole length of messages that have nothing else to tell them by
_SIZES: dict[int, tuple[int, ...]] = {
    0x01: (2,),  # bootstrap, please
    0x22: (19, 23),  # the answer to a greeting was received
    0x4B: (19, 20),  # published: target, load, options
    0x4C: (2,),
    0x50: (4,),  # am I behind a firewall: TCP port
    0x51: (36,),  # find a buddy: two identifiers, port
    0x52: (36,),  # call back
    0x53: (21,),  # as 0x50: port, identifier, options
    0x58: (6,),  # its answer: address
    0x59: (2,),
    0x5A: (36, 37),  # a buddy was found
    0x60: (2,),  # ping
    0x61: (4,),  # pong: port
    0x62: (5,),  # a test of the UDP port
}

_FOUND = Found("edonkey-kad", TrafficClass.P2P)


def _kad(sight: Sight) -> Found | None:
    payload = sight.payload
    if _is_certain(payload):
        return _FOUND
    return _FOUND if _is_possible(payload) and (_is_possible(sight.other) or _is_certain(sight.other)) else None


def _is_possible(datagram: bytes) -> bool:
    return len(datagram) >= 2 and datagram[0] == _KAD and len(datagram) in _SIZES.get(datagram[1], ())


def _is_certain(datagram: bytes) -> bool:
    if len(datagram) < 20:
        return False
    if datagram[0] == _KAD_PACKED:
        return _has_structure(datagram[1], inflated(datagram[2:]))
    return datagram[0] == _KAD and _has_structure(datagram[1], datagram[2:])


def _has_structure(opcode: int, body: bytes) -> bool:
    size = len(body)
    if opcode == _REQUEST:  # how many contacts, target, receiver
        return size == 33 and body[0] & 0x1F in (2, 4, 11)
    if opcode in (_HELLO, _HELLO_ANSWER):  # identifier, TCP port, version, tags
        return size >= 20 and 0 < body[18] <= _NEWEST and (size == 20 if body[19] == 0 else body[19] < 8 and is_tag(body, 20))
    if opcode == _ANSWER:  # target, contacts
        return size > 17 and body[16] > 0 and size == 17 + body[16] * _CONTACT and 0 < body[16 + _CONTACT] <= _NEWEST
    if opcode == _BOOTSTRAP:  # identifier, TCP port, version, contacts
        count = int.from_bytes(body[19:21], "little")
        return count <= _MOST_CONTACTS and size == 21 + count * _CONTACT and 0 < body[18] <= _NEWEST
    if opcode == _SEARCH_KEY:  # target, from which result on; a search tree may follow
        return size == 18 and body[16:18] == b"\0\0"
    if opcode == _SEARCH_SOURCE:  # target, from which result on, the file's size
        return size == 26 and body[17] < 0x10 and body[23:26] == bytes(3)
    if opcode == _SEARCH_NOTES:  # target, the file's size
        return size == 24 and body[21:24] == bytes(3)
    if opcode == _SEARCH_ANSWER:  # identifier, target, results: identifier, tags
        return _is_list(body, 32)
    if opcode == _PUBLISH_KEY:  # target, files: identifier, tags
        return _is_list(body, 16)
    if opcode in (_PUBLISH_SOURCE, _PUBLISH_NOTES):  # target, identifier, tags
        return size > 33 and 0 < body[32] <= MOST_TAGS and is_tag(body, 33)
    return False


def _is_list(body: bytes, at: int) -> bool:
    """Whether there stand a count of 16 bits and the first of so many: an identifier and, counted, its tags."""
    count = int.from_bytes(body[at : at + 2], "little")
    return 0 < count <= _MOST_RESULTS and len(body) > at + 18 and 0 < body[at + 18] <= MOST_TAGS and is_tag(body, at + 19)


DETECTORS: tuple[Detector, ...] = (Detector("edonkey-kad", Transport.UDP, bytes((_KAD, _KAD_PACKED)), _kad),)
