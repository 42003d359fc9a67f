"""edged.yaml: the gateway's own sections, and the file as a whole."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from edged.config.control import Control, ControlValue
from edged.config.marks import Marks
from edged.config.metrics import Metrics
from edged.config.scalars import InterfaceName, OptionalPath, PathValue, PrefixList, unexpected
from edged.config.section import Section

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"


class PoolName(StrEnum):
    """How the addresses of a pool are assigned."""

    DYNAMIC = "dynamic"
    STATIC = "static"


def _name(value: Any) -> str:  # noqa: ANN401  whatever YAML held
    import re  # noqa: PLC0415

    if not isinstance(value, str) or not re.fullmatch(_NAME, value):
        raise unexpected(
            "a name of letters, digits, '.', '_' and '-', such as gw1", value, "quote it" if isinstance(value, int) else ""
        )
    return value


class Gateway(Section):
    """This gateway and its two sides."""

    name: Annotated[str, PlainValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"})] = Field(
        description="what this gateway is called in logs and on the status page"
    )
    access: tuple[InterfaceName, ...] = Field(description="the interfaces toward subscribers", min_length=1)
    upstream: tuple[InterfaceName, ...] = Field(description="the interfaces toward the Internet", min_length=1)


class Pools(Section):
    """The address pools, by how their addresses are assigned; the longest prefix decides, static wins a tie."""

    dynamic: PrefixList = Field((), description="prefixes whose addresses change hands")
    static: PrefixList = Field((), description="prefixes whose addresses belong to one subscriber each")


class SubscriberPrefix(Section):
    """How much of the address space a subscriber without a row is given: the prefix length, by family."""

    ipv4: int = Field(32, ge=1, le=32, description="the prefix length of one subscriber's IPv4 addresses")
    ipv6: int = Field(64, ge=1, le=128, description="the prefix length of one subscriber's IPv6 addresses, as delegated")


class EdgedFile(Section):
    """edged.yaml; paths in it are relative to the file itself."""

    model_config = ConfigDict(validate_default=True)

    gateway: Gateway = Field(description="this gateway and its two sides")
    pools: Pools = Field(description="the address pools, by how their addresses are assigned")
    subscribers: OptionalPath = Field(None, description="a CSV file of subscribers: id,prefixes,plan", validate_default=False)
    subscriber_prefix: SubscriberPrefix = Field(
        default_factory=SubscriberPrefix, description="the prefix length of a subscriber who has no row in `subscribers`"
    )
    rules: PathValue = Field(Path("rules.d"), description="the folder of the policies, one *.yaml each, in lexical order")
    never_block: PrefixList = Field((), description="far ends of which no packet is ever dropped: management, monitoring, peers")
    marks: Marks = Field(default_factory=Marks, description="which bits of the conntrack and packet mark are edged's")
    metrics: Metrics = Field(default_factory=Metrics, description="the metrics page")
    control: ControlValue = Field(default_factory=Control, description="the socket on which the daemon takes commands")
    state: PathValue = Field(Path("/var/lib/edged"), description="the folder of what outlives a restart")
