"""The `metrics` section: where Prometheus finds the counters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from edged.config.scalars import unexpected
from edged.config.section import Section

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<ipv4>[^\[\]:]+)):(?P<port>[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and TCP port to listen on; `host` is without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _listen(value: Any) -> Listen:  # noqa: ANN401  whatever YAML held
    if isinstance(value, Listen):
        return value
    expected = "an address and a port such as 127.0.0.1:9825 or [::1]:9825"
    if not isinstance(value, str):
        raise unexpected(expected, value)
    if re.fullmatch(":[0-9]{1,5}", value):
        raise unexpected(expected, value, f"for every address write 0.0.0.0{value} or [::]{value}")
    parts = _LISTEN.fullmatch(value)
    if parts is None:
        raise unexpected(expected, value, "an IPv6 address stands in brackets" if value.count(":") > 1 else "")
    port = int(parts["port"])
    if port > 65535:
        raise unexpected(expected, value, "a port is at most 65535")
    try:
        host = IPv6Address(parts["ipv6"]) if parts["ipv6"] else IPv4Address(parts["ipv4"])
    except ValueError:
        raise unexpected(expected, value, "a name is not an address") from None
    return Listen(str(host), port)


ListenValue = Annotated[
    Listen,
    PlainValidator(_listen),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[1-9][0-9]{0,4}$",
            "examples": ["127.0.0.1:9825", "[::1]:9825"],
        }
    ),
]


class Metrics(Section):
    """The metrics page."""

    listen: ListenValue = Field(Listen("127.0.0.1", 9825), description="address and port of the metrics page")
