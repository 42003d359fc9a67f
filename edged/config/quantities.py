"""Quantities with a unit: times, volumes, rates and shares, each as text with its unit."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from edged.config.scalars import refuse, unexpected

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BITS = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_NUMBER = r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)"
_DURATION = re.compile(rf"{_NUMBER}(?P<unit>{'|'.join(_SECONDS)})")
_VOLUME = re.compile(rf"{_NUMBER}(?P<unit>{'|'.join(_BYTES)})")
_RATE = re.compile(rf"{_NUMBER}(?P<unit>{'|'.join(_BITS)})")
_PERCENT = re.compile(rf"{_NUMBER}%")


def _duration(value: Any) -> float:  # noqa: ANN401  whatever YAML held
    if isinstance(value, float):
        return value  # built by code, from what was read before
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise unexpected("a time such as 90s, 15m or 6h", value, _unit_hint(value, "s"))
    return float(found["number"]) * _SECONDS[found["unit"]]


def _volume(value: Any) -> int:  # noqa: ANN401
    found = _VOLUME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise unexpected("a volume such as 64MB or 1GiB", value, _unit_hint(value, "MB"))
    return int(float(found["number"]) * _BYTES[found["unit"]])


def _rate(value: Any) -> int:  # noqa: ANN401
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise unexpected("a rate such as 500kbit, 2mbit or 1gbit", value, _unit_hint(value, "mbit"))
    return int(float(found["number"]) * _BITS[found["unit"]])


def _share(value: Any) -> float:  # noqa: ANN401
    if isinstance(value, float):
        return value
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise unexpected("a share such as 50%", value, _unit_hint(value, "%"))
    return float(found["number"]) / 100


def _unit_hint(value: object, unit: str) -> str:
    return f"with its unit: {value}{unit}" if isinstance(value, int) and not isinstance(value, bool) else ""


def at_least(seconds: float, text: str) -> Any:  # noqa: ANN401  a validator, as pydantic takes it
    """A validator for times that have a least value, which is said as `text`."""

    def check(value: float) -> float:
        if value < seconds:
            raise refuse(f"expected at least {text}")
        return value

    return check


Duration = Annotated[
    float, PlainValidator(_duration), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"})
]
Volume = Annotated[
    int, PlainValidator(_volume), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(kB|MB|GB|KiB|MiB|GiB)$"})
]
Rate = Annotated[
    int, PlainValidator(_rate), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(kbit|mbit|gbit)$"})
]
Share = Annotated[float, PlainValidator(_share), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"})]
