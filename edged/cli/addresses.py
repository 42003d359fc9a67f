"""Addresses as arguments of commands."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import click


class AddressType(click.ParamType["IPv4Address | IPv6Address"]):
    """An IPv4 or IPv6 address."""

    name = "address"

    def convert(
        self, value: str | IPv4Address | IPv6Address, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address | IPv6Address:
        """The address, or a usage error."""
        try:
            return ip_address(value)
        except ValueError:
            self.fail(f"{value!r} is not an IPv4 or IPv6 address", param, ctx)
