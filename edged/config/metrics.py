"""The `metrics` section: where Prometheus finds the counters, and who may read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from edged.config.scalars import OptionalPath, PathValue, unexpected
from edged.config.section import Section

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<ipv4>[^\[\]:]+)):(?P<port>[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and TCP port to listen on; `host` is without brackets."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        return ip_address(self.host).is_loopback

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


class Tls(Section):
    """TLS of the metrics page, in the words of Prometheus' web configuration; files in PEM, read anew when they change."""

    cert_file: PathValue = Field(description="the page's certificate, the chain behind it")
    key_file: PathValue = Field(description="its private key, without a password")
    client_ca_file: OptionalPath = Field(
        None, description="authorities of clients' certificates; whoever shows none of theirs is refused"
    )


def _given(value: Any) -> Any:  # noqa: ANN401  whatever YAML held
    """A section of which nothing is left but its key would be the page without TLS."""
    if value is None:
        raise unexpected("keys and values", value, "leave tls out for a page without it")
    return value


class Metrics(Section):
    """The metrics page."""

    listen: ListenValue = Field(Listen("127.0.0.1", 9825), description="address and port of the metrics page")
    tls: Annotated[Tls | None, BeforeValidator(_given)] = Field(None, description="TLS of the metrics page")
    basic_auth_users_file: OptionalPath = Field(
        None, description="who may read the page: lines that `edged config password-hash NAME` prints"
    )
