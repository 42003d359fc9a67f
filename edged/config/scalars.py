"""Scalars of the configuration: what one YAML value can be, and what to say when it is not."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator


def _prefix(value: Any) -> IPv4Network | IPv6Network:  # noqa: ANN401  whatever YAML held
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    return ip_network(str(value))


PrefixValue = Annotated[IPv4Network | IPv6Network, BeforeValidator(_prefix)]
PrefixList = tuple[PrefixValue, ...]
