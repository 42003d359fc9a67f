"""Scalars of the configuration: what one YAML value can be, and what to say when it is not.

Each is the type that the rest of edged works with, a validator from what YAML held, and its JSON Schema for editors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator, StrictBool, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from edged.config.problem import shown

__all__ = [
    "Flag",
    "InterfaceName",
    "Loading",
    "Moment",
    "OptionalPath",
    "PathValue",
    "PrefixList",
    "PrefixValue",
    "Text",
    "read_path",
    "refuse",
    "unexpected",
]

Flag = StrictBool

IFNAMSIZ = 16  # linux/if.h, the ending NUL included
CLOCK_IS_SET = datetime(2026, 1, 1, tzinfo=UTC)
FARTHEST_UNTIL = timedelta(days=5 * 365 + 2)

_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")
_ENDS_IN_COLON = re.compile(r"[0-9A-Fa-f:]{1,40}:")
_INTERFACE = re.compile(r"[\x21-\x7e]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class Loading:
    """What a validator needs to know of the load: the folder that paths are relative to, and the present moment."""

    folder: Path
    now: datetime


def refuse(message: str) -> PydanticCustomError:
    """The error of a value, in words for the reader."""
    return PydanticCustomError("edged", "{text}", {"text": message})


def unexpected(expected: str, value: object, hint: str = "") -> PydanticCustomError:
    """The error of a value that is of another kind: `expected ..., got ... (hint)`."""
    return refuse(f"expected {expected}, got {shown(value)}{f' ({hint})' if hint else ''}")


def _prefix(value: Any) -> IPv4Network | IPv6Network:  # noqa: ANN401  whatever YAML held
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    expected = "an address or prefix such as 192.0.2.0/24 or 2001:db8::/32"
    if not isinstance(value, str):
        raise unexpected(expected, value, _quote_hint(value))
    address, slash, length = value.partition("/")
    if slash and not _LENGTH.fullmatch(length):
        raise unexpected(expected, value, _length_hint(value))
    try:
        prefix = ip_network(value, strict=False)
    except ValueError:
        raise unexpected(expected, value, _prefix_hint(address, length)) from None
    if isinstance(prefix, IPv6Network):
        if "%" in value:
            raise unexpected(expected, value, "a prefix has no zone")
        if (mapped := prefix.network_address.ipv4_mapped) is not None:
            plain = f"{mapped}/{prefix.prefixlen - 96}" if slash and prefix.prefixlen >= 96 else f"{mapped}"
            raise unexpected(expected, value, f"an IPv4 address written as IPv6; write {plain}")
    if str(prefix.network_address) != str(type(prefix.network_address)(address)):
        hint = f"or {address} for that one address"
        raise refuse(f"the host bits are set in {shown(value)}; write {prefix} ({hint})")
    return prefix


def _quote_hint(value: object) -> str:
    """An item `- 2001:db8::` is a key without a value to YAML."""
    if isinstance(value, dict) and list(value.values()) == [None] and _ENDS_IN_COLON.fullmatch(key := next(iter(value))):
        return f'quote it: "{key}:"'
    return ""


def _length_hint(value: str) -> str:
    try:
        return f"write {ip_network(value, strict=False)}"
    except ValueError:
        return "after the slash stands a prefix length"


def _prefix_hint(address: str, length: str) -> str:
    longest = 128 if ":" in address else 32
    if length and int(length) > longest:
        return f"the prefix length is at most {longest}"
    if "-" in address and "." in address:
        return "a range is written as its prefixes"
    parts = address.split(".")
    if len(parts) == 4 and any(part.isdigit() and len(part) > 1 and part.startswith("0") for part in parts):
        return "leading zeros are octal to some programs; leave them out"
    return ""


def _interface(value: Any) -> str:  # noqa: ANN401
    expected = "an interface name such as eth0, or ppp* for all that begin with ppp"
    if not isinstance(value, str):
        raise unexpected(expected, value, "quote it" if isinstance(value, int) else "")
    if len(value.encode()) >= IFNAMSIZ:
        raise unexpected(expected, value, f"a name has at most {IFNAMSIZ - 1} bytes")
    if value == "*":
        raise unexpected(expected, value, "a single * would be every interface; name them")
    if "*" in value[:-1]:
        raise unexpected(expected, value, "the * stands at the end only")
    # net/core/dev.c dev_valid_name(); quotes and backslashes would not survive nft's text form
    if not _INTERFACE.fullmatch(value) or value in {".", ".."} or any(sign in value for sign in '/:"\\'):
        raise unexpected(expected, value)
    return value


def _moment(value: Any, info: ValidationInfo) -> int:  # noqa: ANN401
    loading = info.context if isinstance(info.context, Loading) else None
    if loading is None and isinstance(value, int):
        return value  # built by code, from what was read before
    expected = "a date such as 2027-03-31, or a time such as 2027-03-31T18:00:00+09:00"
    if not isinstance(value, str):
        raise unexpected(expected, value)
    is_date = _DATE.fullmatch(value)
    if not is_date and not _DATE_TIME.fullmatch(value):
        raise unexpected(expected, value, "the offset from UTC is missing" if _DATE_TIME.fullmatch(f"{value}Z") else "")
    try:
        if is_date:
            # the end of that day where the gateway stands: a naive datetime is local time to `timestamp()`
            until = (datetime.fromisoformat(value) + timedelta(days=1)).timestamp()
        else:
            until = datetime.fromisoformat(value.upper()).timestamp()
    except (ValueError, OverflowError):
        raise unexpected(expected, value, "there is no such day or time") from None
    # OP-10. A gateway without a battery behind its clock boots in 1970, and that makes no good file bad.
    if loading is not None and loading.now > CLOCK_IS_SET and until > (loading.now + FARTHEST_UNTIL).timestamp():
        raise refuse(f"{shown(value)} is more than 5 years ahead; an exemption is looked at again before that")
    return int(until)


def _text(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise unexpected("text", value, f'quote it: "{value}"' if isinstance(value, int) else "")
    text = value.strip()
    if not text:
        raise refuse("expected some text, got an empty one")
    if len(text) > 200 or not text.isprintable():
        raise unexpected("one line of at most 200 characters", value)
    return text


def read_path(value: Any, info: ValidationInfo) -> Path:  # noqa: ANN401
    """A path of the files, relative to edged.yaml's folder; raises PydanticCustomError."""
    if not isinstance(value, str | Path) or value == "":
        raise unexpected("a path", value)
    if not str(value).isprintable():
        raise unexpected("a path without control characters", value)
    return info.context.folder / value if isinstance(info.context, Loading) else Path(value)


PrefixValue = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_prefix),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)(/[0-9]{1,3})?$",
            "description": "an IPv4 or IPv6 prefix without host bits; a bare address is that one address",
            "examples": ["192.0.2.0/24", "2001:db8::/32", "192.0.2.25"],
        }
    ),
]
PrefixList = tuple[PrefixValue, ...]
InterfaceName = Annotated[
    str,
    PlainValidator(_interface),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": '^[^\\s/:*"\\\\]+\\*?$',
            "maxLength": IFNAMSIZ - 1,
            "description": "an interface name; a trailing * is a wildcard (ppp*)",
            "examples": ["eth0", "ppp*"],
        }
    ),
]
Moment = Annotated[
    int,
    PlainValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^({_DATE.pattern}|{_DATE_TIME.pattern.replace('?:', '')})$",
            "description": "a date (to the end of that day, local time), or a time with its offset from UTC",
            "examples": ["2027-03-31", "2027-03-31T18:00:00+09:00"],
        }
    ),
]
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200})]
_PATH_SCHEMA = WithJsonSchema({"type": "string", "minLength": 1})
PathValue = Annotated[Path, PlainValidator(read_path), _PATH_SCHEMA]
OptionalPath = Annotated[Path | None, PlainValidator(read_path), _PATH_SCHEMA]
