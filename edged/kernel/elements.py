"""Elements of sets: address ranges out to the kernel and back, and addresses by the million, out only.

The kernel keeps a range as two elements, its start and its end (exclusive, flag 1). A range up to the last address has no
end element. nft writes an end at 0.0.0.0 too ("nothing up to here"); an end without a start before it says nothing.

Where a range leaves by itself, its start carries the timeout, and as its comment `until=<seconds since the epoch>`: the
kernel counts down, so only the comment says again exactly what was wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edged.addresses import Family, Range
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32, be64, each, nest, number, parse
from edged.kernel.identity import comment_in, userdata
from edged.ruleset.sets import Element

MESSAGE_LIMIT = 65535 - 4  # a netlink attribute's length is 16 bits wide
_UNTIL = re.compile(r"until=([0-9]{1,15})")
# The kernel takes nanoseconds in 64 bits (nf_msecs_to_jiffies64: ERANGE beyond). 200 years; whoever writes "until 9999" means
# "for good", and an edged of that time writes the element anew.
_LONGEST_MS = 200 * 365 * 86400 * 1000
# What an element's end is called when the kernel removes it at some time that edged did not write: never equal to a wish.
FOREIGN_END = -1
# by this much the wall clock may be set without exemptions being written anew; slewing stays far below
_CLOCK_TOLERANCE_MS = 60_000


def encode_elements(family: Family, elements: Iterable[Element], now: float) -> Iterator[bytes]:
    """The elements as attributes for NFTA_SET_ELEM_LIST_ELEMENTS, a few ranges to a list, each list fit for one message.

    `now` (seconds since the epoch) turns `until` into a timeout; one that has passed becomes the shortest there is.
    """
    chunk: list[bytes] = []
    size = 0
    for element in elements:
        encoded = _encode_element(family, element, now)
        if size + len(encoded) > MESSAGE_LIMIT:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(encoded)
        size += len(encoded)
    if chunk:
        yield b"".join(chunk)


def encode_bounds(family: Family, elements: Iterable[Element]) -> Iterator[bytes]:
    """The same for taking elements out: by their bounds alone."""
    return encode_elements(family, (Element(element.range) for element in elements), 0.0)


def encode_keys(family: Family, wire: bytes) -> Iterator[bytes]:
    """The addresses that stand one after the other in network byte order, as encode_elements gives ranges: for hash sets."""
    import numpy as np  # noqa: PLC0415  without long lists nobody waits for it

    width = family.bits // 8
    head = nest(uapi.LIST_ELEM, _key(bytes(width)))[:-width]
    keys = np.frombuffer(wire, np.uint8).reshape(-1, width)
    for first in range(0, len(keys), in_one := MESSAGE_LIMIT // (len(head) + width)):
        some = keys[first : first + in_one]
        elements = np.empty((len(some), len(head) + width), np.uint8)
        elements[:, : len(head)] = np.frombuffer(head, np.uint8)
        elements[:, len(head) :] = some
        yield elements.tobytes()


def _encode_element(family: Family, element: Element, now: float) -> bytes:
    width = family.bits // 8
    start = _key(element.range.first.to_bytes(width, "big"))
    if element.until is not None:
        milliseconds = min(max(int((element.until - now) * 1000), 1), _LONGEST_MS)
        start += be64(uapi.ElemAttr.TIMEOUT, milliseconds)
        start += attribute(uapi.ElemAttr.USERDATA, userdata(f"until={element.until}"))
    encoded = nest(uapi.LIST_ELEM, start)
    if element.range.last + 1 < 1 << family.bits:
        end = _key((element.range.last + 1).to_bytes(width, "big"))
        encoded += nest(uapi.LIST_ELEM, be32(uapi.ElemAttr.FLAGS, uapi.ELEM_INTERVAL_END), end)
    return encoded


def _key(packed: bytes) -> bytes:
    return nest(uapi.ElemAttr.KEY, attribute(uapi.DATA_VALUE, packed))


def decode_elements(family: Family, payloads: Iterable[bytes], now: float) -> frozenset[Element] | None:
    """The ranges that the dumped element lists (payloads of NFTA_SET_ELEM_LIST_ELEMENTS, in any order) hold.

    None where a range starts inside another, an element decides for itself what matches (a limit, a quota), or a key is longer
    than an address. Kernels let a stranger write the first (a wider range with the same end), and no removal by bounds undoes it;
    edged writes none of them. `now` (seconds since the epoch) is what the kernel's remaining times are counted from.
    """
    marks: list[tuple[int, bool, int | None]] = []
    for payload in payloads:
        for _, element in each(payload):
            fields = parse(element)
            if uapi.ElemAttr.EXPR in fields or uapi.ElemAttr.EXPRESSIONS in fields:
                return None
            key = number(parse(fields.get(uapi.ElemAttr.KEY, b"")).get(uapi.DATA_VALUE))
            if key >> family.bits:
                return None
            is_end = bool(number(fields.get(uapi.ElemAttr.FLAGS)) & uapi.ELEM_INTERVAL_END)
            marks.append((key, not is_end, None if is_end else _until(fields, now)))
    return _paired(marks, (1 << family.bits) - 1)


def _paired(marks: list[tuple[int, bool, int | None]], last_address: int) -> frozenset[Element] | None:
    """Starts with their ends; at one address the end of one range comes before the start of the next."""
    found: list[Element] = []
    opened: tuple[int, int | None] | None = None
    for position, is_start, until in sorted(marks, key=lambda mark: mark[:2]):
        if is_start and opened is not None:
            return None
        if opened is not None:
            found.append(Element(Range(opened[0], position - 1), opened[1]))
        opened = (position, until) if is_start else None
    if opened is not None:
        found.append(Element(Range(opened[0], last_address), opened[1]))
    return frozenset(found)


def _until(fields: dict[int, bytes], now: float) -> int | None:
    """The end that edged wrote; FOREIGN_END where the kernel's timeout and the comment do not say the same.

    They part when the wall clock is set after the element was written: the kernel counts down what was left then.
    """
    timed = number(fields.get(uapi.ElemAttr.TIMEOUT)) > 0
    said = _UNTIL.fullmatch(comment_in(fields.get(uapi.ElemAttr.USERDATA)))
    if not timed and said is None:
        return None
    if not timed or said is None:
        return FOREIGN_END
    until = int(said[1])
    left_ms = number(fields.get(uapi.ElemAttr.EXPIRATION, fields[uapi.ElemAttr.TIMEOUT]))
    wanted_ms = (until - now) * 1000
    agree = wanted_ms >= _LONGEST_MS or abs(left_ms - wanted_ms) <= _CLOCK_TOLERANCE_MS
    return until if agree else FOREIGN_END
