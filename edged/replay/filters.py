"""The filters of `--expect`: which packets of a capture are meant.

    tcp.dport == 25 and src in dynamic
    udp and (port in {53, 5353} or udp.sport in 1024-2047) and not dst in {192.0.2.0/24, 2001:db8::/32}

    filter  = every { ("or" | "||") every }
    every   = part { ("and" | "&&") part }
    part    = ("not" | "!") part  |  "(" filter ")"  |  test
    test    = field operator value  |  field ["not"] "in" member  |  field ["not"] "in" "{" member { "," member } "}"  |  word
    word    = "tcp" | "udp" | "icmp" | "ip" | "ip6" | "frag" | "tcp.flags.syn" and the other flags
    member  = value  |  number "-" number  |  prefix  |  pool

    src dst                                      addresses: == !=, in with prefixes and the names of pools
    tcp.sport tcp.dport udp.sport udp.dport      ports: == != < <= > >= in
    port                                         either port of any protocol that has ports
    icmp.type icmp.code                          of ICMP and of ICMPv6
    ip.version ip.proto len n                    4 or 6; a number or tcp udp icmp icmpv6 gre esp sctp; bytes of the IP packet;
                                                 the packet's number in its capture
    tcp.flags.syn .ack .rst .fin frag            == != with 0 and 1, or by themselves
    verdict policy rule side capture             == != in, with a word or a "text"; rule is a text "file:line"
    class                                        == != in, with p2p streaming: what the packet's flow is known as by then, as
                                                 `--packets` has it; a packet that a policy stopped has none

Numbers are decimal or hexadecimal (0x19). `ip` is IPv4 and `ip6` IPv6, as in tcpdump; `icmp` is ICMP or ICMPv6.
A test of a field that the packet does not have is false, with `!=` and `not in` too: `tcp.dport != 25` asks for TCP, while
`not tcp.dport == 25` holds for UDP. `port` is both ports: `==` and `<` hold where either is so, `!=` where neither is the value.

A filter is a tree of the nodes here; `edged.replay.filter_syntax.parse` makes it, and
`edged.replay.filter_predicate.predicate` makes a function of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from edged.addresses import Family, Range


class Number(StrEnum):
    """The fields that are numbers."""

    TCP_SOURCE = "tcp.sport"
    TCP_DESTINATION = "tcp.dport"
    UDP_SOURCE = "udp.sport"
    UDP_DESTINATION = "udp.dport"
    PORT = "port"
    ICMP_TYPE = "icmp.type"
    ICMP_CODE = "icmp.code"
    VERSION = "ip.version"
    PROTOCOL = "ip.proto"
    LENGTH = "len"
    POSITION = "n"


class End(StrEnum):
    """The fields that are addresses."""

    SOURCE = "src"
    DESTINATION = "dst"


class Flag(StrEnum):
    """The fields that are set or not."""

    SYN = "tcp.flags.syn"
    ACK = "tcp.flags.ack"
    RST = "tcp.flags.rst"
    FIN = "tcp.flags.fin"
    FRAGMENT = "frag"


class Wording(StrEnum):
    """The fields that are words or texts."""

    VERDICT = "verdict"
    POLICY = "policy"
    RULE = "rule"
    SIDE = "side"
    CAPTURE = "capture"
    CLASS = "class"


@dataclass(frozen=True, slots=True)
class NumberIn:
    """The number is in one of the ranges, which are sorted and disjoint; with `outside` it is there and in none."""

    field: Number
    ranges: tuple[Range, ...]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class AddressIn:
    """The address is in one of its family's ranges, which are sorted and disjoint; with `outside` it is in none."""

    end: End
    ranges: Mapping[Family, tuple[Range, ...]]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class FlagIs:
    """The flag is there, and set or not."""

    flag: Flag
    is_set: bool = True


@dataclass(frozen=True, slots=True)
class WordIn:
    """The text is one of these; with `outside` it is there and none of them."""

    field: Wording
    words: frozenset[str]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter: TypeAlias = NumberIn | AddressIn | FlagIs | WordIn | Not | Every | Some


def asks(of: Filter, field: Wording) -> bool:
    """Whether the filter asks for that field anywhere."""
    match of:
        case WordIn(asked):
            return asked is field
        case Not(part):
            return asks(part, field)
        case Every(parts) | Some(parts):
            return any(asks(part, field) for part in parts)
        case NumberIn() | AddressIn() | FlagIs():
            return False
        case _:
            assert_never(of)
