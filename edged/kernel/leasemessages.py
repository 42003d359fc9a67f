"""Leases in nftables' words: the steps as one batch, and dumps of the sets, maps and limits taken apart."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import assert_never

from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32, be64, each, nest, number, parse, string, text
from edged.kernel.batch import Message
from edged.kernel.elements import MESSAGE_LIMIT
from edged.kernel.uapi import ElemAttr, Msg, ObjAttr, SetAttr
from edged.queueing.leases import (
    LEASE_SECONDS,
    AddBucket,
    AddLease,
    AddPolice,
    Bucket,
    CapSets,
    LeasedKey,
    LeaseStep,
    PolicedKey,
    RemoveBucket,
    RemoveLease,
    RemovePolice,
    in_order,
)
from edged.queueing.tree import ClassId, Rate

# linux/netfilter/nf_tables.h
_ELEM_DATA, _ELEM_OBJREF = 2, 9
_OBJECT_LIMIT = 4
_LIMIT_RATE, _LIMIT_UNIT, _LIMIT_BURST, _LIMIT_TYPE, _LIMIT_FLAGS = 1, 2, 3, 4, 5
_LIMIT_BYTES, _LIMIT_OVER = 1, 1  # NFT_LIMIT_PKT_BYTES, NFT_LIMIT_F_INV
_NEW = uapi.NLM_F_CREATE | uapi.NLM_F_EXCL
_ELEMENT = struct.Struct("=HHHHHH")  # the headers, length and type, of an element, the key in it and the value in that
_KIND = 0x3FFF  # without the flag of nested ones, which the kernel may set or not
_LONGEST_ELEMENT = 256  # a key of 16 bytes and a bucket's name of 128, with their headers
_AT_ONCE = MESSAGE_LIMIT // _LONGEST_ELEMENT


def encode(table: str, steps: Iterable[LeaseStep]) -> Iterator[Message]:
    """The steps as the messages of one batch, in the order that the kernel needs. Labels name sets, never an address."""
    waiting: list[bytes] = []
    target = (0, "")
    for step in in_order(tuple(steps)):
        into = _target(step)
        if waiting and (into != target or len(waiting) == _AT_ONCE):
            yield _elements(table, target, waiting)
            waiting = []
        target = into
        if isinstance(step, AddBucket | RemoveBucket):
            yield _object(table, step)
        else:
            waiting.append(_element(step))
    if waiting:
        yield _elements(table, target, waiting)


def request_set(table: str, name: str) -> bytes:
    """The body of a request for a set or map itself."""
    return text(SetAttr.TABLE, table) + text(SetAttr.NAME, name)


def request_elements(table: str, name: str) -> bytes:
    """The body of a request for the elements of a set or map."""
    return text(ElemAttr.LIST_TABLE, table) + text(ElemAttr.LIST_SET, name)


def request_buckets(table: str) -> bytes:
    """The body of a request for the table's limits."""
    return text(ObjAttr.TABLE, table) + be32(ObjAttr.TYPE, _OBJECT_LIMIT)


def decode_keys(lists: Iterable[bytes]) -> frozenset[int]:
    """The keys in dumped element lists (payloads of NFTA_SET_ELEM_LIST_ELEMENTS)."""
    # each of those who are policed is in there ten times a second, and the kernel writes all elements of a set alike
    found: set[int] = set()
    for payload in lists:
        keys = _keys_in_rows(payload)
        found.update(map(number, keys) if keys is not None else _keys_one_by_one(payload))
    return frozenset(found)


def _keys_in_rows(payload: bytes) -> list[bytes] | None:
    """The keys of elements that all begin alike and are of one length; None where they are not."""
    if len(payload) < _ELEMENT.size:
        return None
    size, _, _, kind, length, inside = _ELEMENT.unpack_from(payload)
    if (kind & _KIND, inside & _KIND) != (ElemAttr.KEY, uapi.DATA_VALUE) or size % 4 or not 4 < length <= size - 8:
        return None
    if len(payload) % size:
        return None
    rows = struct.Struct(f"{_ELEMENT.size}s{length - 4}s{size - _ELEMENT.size - length + 4}x")
    head = payload[: _ELEMENT.size]
    keys = [key for start, key in rows.iter_unpack(payload) if start == head]
    return keys if len(keys) * size == len(payload) else None


def _keys_one_by_one(payload: bytes) -> Iterator[int]:
    for _, element in each(payload):
        key = next((value for kind, value in each(element) if kind == ElemAttr.KEY), b"")
        yield number(parse(key).get(uapi.DATA_VALUE))


def decode_leases(lists: Iterable[bytes]) -> tuple[LeasedKey, ...]:
    """The keys and their classes, in order; what leads to no class is left out."""
    found = []
    for key, fields in _elements_in(lists):
        data = parse(fields.get(_ELEM_DATA, b"")).get(uapi.DATA_VALUE, b"")
        handle = struct.unpack("=I", data)[0] if len(data) == 4 else 0
        if handle >> 16:
            found.append(LeasedKey(key, ClassId.of(handle)))
    return tuple(sorted(set(found)))  # a dump in parts can give an element twice


def decode_policed(lists: Iterable[bytes]) -> tuple[PolicedKey, ...]:
    """The keys and their buckets' names, in order."""
    return tuple(sorted({PolicedKey(key, string(fields.get(_ELEM_OBJREF))) for key, fields in _elements_in(lists)}))


def decode_bucket(table: str, fields: dict[int, bytes]) -> Bucket | None:
    """A dumped object; None where it is not such a limit of the table's. Older kernels do not filter dumps by table."""
    data = parse(fields.get(ObjAttr.DATA, b""))
    shape = number(data.get(_LIMIT_TYPE)), number(data.get(_LIMIT_FLAGS)), number(data.get(_LIMIT_UNIT))
    here = string(fields.get(ObjAttr.TABLE)) == table and number(fields.get(ObjAttr.TYPE)) == _OBJECT_LIMIT
    if not here or shape != (_LIMIT_BYTES, _LIMIT_OVER, 1):
        return None
    return Bucket(string(fields.get(ObjAttr.NAME)), Rate(number(data.get(_LIMIT_RATE)) * 8))


def _target(step: LeaseStep) -> tuple[int, str]:
    """The type of the step's message, and the map or limit that it is about."""
    match step:
        case AddBucket(bucket):
            return Msg.NEWOBJ, bucket.name
        case RemoveBucket(name):
            return Msg.DELOBJ, name
        case AddLease(sets):
            return Msg.NEWSETELEM, sets.lease
        case RemoveLease(sets):
            return Msg.DELSETELEM, sets.lease
        case AddPolice(sets):
            return Msg.NEWSETELEM, sets.police
        case RemovePolice(sets):
            return Msg.DELSETELEM, sets.police
        case _:
            assert_never(step)


def _elements(table: str, target: tuple[int, str], elements: list[bytes]) -> Message:
    kind, name = target
    adds = kind == Msg.NEWSETELEM
    label = f"{'add to' if adds else 'remove from'} map {name} ({len(elements)})"
    body = request_elements(table, name) + nest(ElemAttr.LIST_ELEMENTS, *elements)
    return Message(kind, _NEW if adds else 0, body, label)


def _element(step: AddLease | RemoveLease | AddPolice | RemovePolice) -> bytes:
    key, lasting = _key(step.sets, step.key), be64(ElemAttr.TIMEOUT, LEASE_SECONDS * 1000)
    match step:
        case AddLease(_, _, classid):
            # skb->priority is a number of the machine: data of this type is not in network byte order
            data = attribute(uapi.DATA_VALUE, struct.pack("=I", classid.handle))
            return nest(uapi.LIST_ELEM, key, nest(_ELEM_DATA, data), lasting)
        case AddPolice(_, _, bucket):
            return nest(uapi.LIST_ELEM, key, text(_ELEM_OBJREF, bucket), lasting)
        case RemoveLease() | RemovePolice():
            return nest(uapi.LIST_ELEM, key)
        case _:
            assert_never(step)


def _key(sets: CapSets, key: int) -> bytes:
    return nest(ElemAttr.KEY, attribute(uapi.DATA_VALUE, key.to_bytes(sets.family.bits // 8, "big")))


def _object(table: str, step: AddBucket | RemoveBucket) -> Message:
    name = step.bucket.name if isinstance(step, AddBucket) else step.name
    head = text(ObjAttr.TABLE, table) + text(ObjAttr.NAME, name) + be32(ObjAttr.TYPE, _OBJECT_LIMIT)
    if isinstance(step, RemoveBucket):
        return Message(Msg.DELOBJ, 0, head, f"remove bucket {name}")
    rate = be64(_LIMIT_RATE, step.bucket.rate.octets) + be64(_LIMIT_UNIT, 1) + be32(_LIMIT_BURST, step.bucket.burst)
    data = nest(ObjAttr.DATA, rate, be32(_LIMIT_TYPE, _LIMIT_BYTES), be32(_LIMIT_FLAGS, _LIMIT_OVER))
    return Message(Msg.NEWOBJ, _NEW, head + data, f"add bucket {name}, {step.bucket.rate}")


def _elements_in(lists: Iterable[bytes]) -> Iterator[tuple[int, dict[int, bytes]]]:
    for payload in lists:
        for _, element in each(payload):
            fields = parse(element)
            yield number(parse(fields.get(ElemAttr.KEY, b"")).get(uapi.DATA_VALUE)), fields
