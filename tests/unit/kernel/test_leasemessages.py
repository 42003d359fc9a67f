"""The keys of a dumped set, in whatever form a kernel writes its elements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.kernel import uapi
from edged.kernel.attrs import NESTED, attribute, be64, nest
from edged.kernel.leasemessages import decode_keys
from edged.kernel.uapi import ElemAttr


def element(key: bytes, *more: bytes, nested: int = NESTED) -> bytes:
    inside = attribute(ElemAttr.KEY | nested, attribute(uapi.DATA_VALUE, key))
    return attribute(uapi.LIST_ELEM | nested, inside + b"".join(more))


LEFT = be64(ElemAttr.TIMEOUT, 5000)


@pytest.mark.parametrize("nested", [0, NESTED])
@pytest.mark.parametrize("width", [4, 16])
@given(numbers=st.sets(st.integers(1, (1 << 32) - 1)), at=st.integers(0, 9))
def test_every_key_is_read_be_the_elements_alike_or_not(nested: int, width: int, numbers: set[int], at: int) -> None:
    keys = [number.to_bytes(width, "big") for number in sorted(numbers)]
    alike = b"".join(element(key, LEFT, nested=nested) for key in keys)
    odd = b"".join(element(key, *(() if place == at else (LEFT,)), nested=nested) for place, key in enumerate(keys))
    later = b"".join(nest(uapi.LIST_ELEM, LEFT, nest(ElemAttr.KEY, attribute(uapi.DATA_VALUE, key))) for key in keys)
    for payload in (alike, odd, later):
        assert decode_keys([payload]) == numbers
    assert decode_keys([alike, odd, b""]) == numbers


@given(st.binary(max_size=200))
def test_any_bytes_are_read(payload: bytes) -> None:
    decode_keys([payload])
    whole = element(b"\1\2\3\4", LEFT)
    assert 0x01020304 in decode_keys([whole, payload])
