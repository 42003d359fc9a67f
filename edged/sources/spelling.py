"""What is wrong with a text that should be an address or a prefix, for the person who is to put it right."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from edged.addresses import Family
from edged.sources.showing import shown

_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){3}")
_WITH_PORT = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]*\]):[0-9]+")
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?")


def octets(family: Family, text: str) -> bytes | None:
    """The address in network byte order; None where the text is not one in the strict form of inet_pton(3)."""
    try:
        return socket.inet_pton(socket.AF_INET if family is Family.IPV4 else socket.AF_INET6, text)
    except (OSError, ValueError):  # ValueError: NUL or a lone surrogate in it
        return None


def mistake(text: str, *, show: bool) -> str:
    """What is wrong with a text that is no entry; without `show` it says nothing of the text but that."""
    kind, detail = _mistake(text)
    return f"{kind}{detail}" if show else kind


def _mistake(text: str) -> tuple[str, str]:
    """The kind of mistake, and the rest of the message, which shows the text."""
    if not text:
        return "no address", ""
    if "://" in text:
        return "a URL, not an address", f": {shown(text)}"
    if len(text.split()) > 1:
        return "more than an address or a prefix", f": {shown(text)}"
    if all(_is_address(end) for end in text.split("-", 1)) and "-" in text:
        return "a range; write it as its prefixes", f": {shown(text)}"
    address, slash, length = text.partition("/")
    if found := _mistake_of_address(address):
        return found[0], f"{found[1]}: {shown(text)}"
    return _mistake_of_prefix(text, address, length) if slash else ("not an address or a prefix", f": {shown(text)}")


def _mistake_of_address(address: str) -> tuple[str, str] | None:
    if octets(Family.IPV6, address) is not None:
        mapped = IPv6Address(address).ipv4_mapped
        return None if mapped is None else ("an IPv4-mapped IPv6 address; write the IPv4 one", f", {mapped}")
    if octets(Family.IPV4, address) is not None:
        return None
    if _DOTTED.fullmatch(address) and any(len(octet) > 1 and octet[0] == "0" for octet in address.split(".")):
        return "a leading zero: octal to some programs, decimal to others", ""
    if "%" in address and _is_address(address.partition("%")[0]):
        return "an address with a zone", ""
    if _WITH_PORT.fullmatch(address):
        return "an address with a port; a list holds addresses and prefixes", ""
    if _HOST_NAME.fullmatch(address):
        return "a host name, not an address", ""
    return "not an address or a prefix", ""


def _mistake_of_prefix(text: str, address: str, length: str) -> tuple[str, str]:
    family = Family.IPV6 if ":" in address else Family.IPV4
    if _is_address(length):
        return "a netmask; write the prefix length", f": {shown(text)}"
    if not (length.isascii() and length.isdecimal() and len(length) <= 3 and str(int(length)) == length):
        return f"not a prefix length from 0 to {family.bits}", f": {shown(text)}"
    if int(length) > family.bits:
        return f"not a prefix length from 0 to {family.bits}", f": {shown(text)}"
    kind = IPv4Network if family is Family.IPV4 else IPv6Network
    return "host bits are set", f" in {text}; write {kind(text, strict=False)}"


def _is_address(text: str) -> bool:
    return any(octets(family, text) is not None for family in Family)


def written(family: Family, network: int, length: int) -> str:
    """The entry as a list would write it: a single address without its length."""
    address = IPv4Address(network) if family is Family.IPV4 else IPv6Address(network)
    return str(address) if length == family.bits else f"{address}/{length}"
