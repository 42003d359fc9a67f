"""The `marks` section: which bits of the conntrack mark and the packet mark are edged's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from edged.config.scalars import refuse, unexpected
from edged.config.section import Section
from edged.marks import BITS_NEEDED, DEFAULT_MASK, MarkFields


def _mask(value: Any) -> int:  # noqa: ANN401  whatever YAML held
    if not isinstance(value, int) or isinstance(value, bool):
        raise unexpected("a mask such as 0x00ffff00", value, "leave the quotes out" if _is_quoted(value) else "")
    if not 0 < value < 1 << 32:
        raise refuse(f"expected a mask of 32 bits such as 0x00ffff00, got {value:#x}")
    run = value >> (value & -value).bit_length() - 1
    if run & (run + 1):
        raise refuse(f"expected neighbouring bits such as 0x00ffff00, got {value:#010x}, which has a gap")
    if run.bit_length() < BITS_NEEDED:
        raise refuse(f"expected at least {BITS_NEEDED} bits, got {value:#010x}, which has {run.bit_length()}")
    return value


def _is_quoted(value: object) -> bool:
    return isinstance(value, str) and value.removeprefix("0x").isalnum() and value.startswith("0x")


MarkMask = Annotated[int, PlainValidator(_mask), WithJsonSchema({"type": "integer", "minimum": 0xFFF, "maximum": 0xFFFFFFFF})]


class Marks(Section):
    """The marks; fields are allotted from the mask's lowest bit up, and every write keeps the other bits."""

    @property
    def fields(self) -> MarkFields:
        """Which of the bits mean what."""
        return MarkFields(self.mask)

    mask: MarkMask = Field(DEFAULT_MASK, description="at least 12 neighbouring bits that nothing else on this gateway uses")
