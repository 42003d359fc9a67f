"""A small reader of netfilter's netlink, apart from edged's own: traces, the comments of rules, conntrack's marks and flush."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from edged.addresses import Address
from edged.lab import netns

NETLINK_NETFILTER = 12
NFTRACE_GROUP = 9  # NFNLGRP_NFTRACE
SO_RCVBUFFORCE = 33

_SUBSYS_CTNETLINK, _SUBSYS_NFTABLES = 1, 10
_CT_NEW, _CT_GET = _SUBSYS_CTNETLINK << 8 | 0, _SUBSYS_CTNETLINK << 8 | 1
_CT_DELETE = _SUBSYS_CTNETLINK << 8 | 2
_GETRULE = _SUBSYS_NFTABLES << 8 | 7
_NEWRULE = _SUBSYS_NFTABLES << 8 | 6
_TRACE = _SUBSYS_NFTABLES << 8 | 17
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_ERROR, _DONE = 2, 3
_INET = 1  # NFPROTO_INET

# NFTA_TRACE_*
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID, _NETWORK_HEADER = 1, 2, 3, 4, 5, 6, 8
_TYPE_RULE = 3

# CTA_*, CTA_TUPLE_*, CTA_IP_*, CTA_PROTO_* of linux/netfilter/nfnetlink_conntrack.h
_TUPLE_ORIG, _MARK = 1, 8
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCE = {4: 1, 6: 3}
_DESTINATION = {4: 2, 6: 4}
_PROTO_NUM, _PROTO_SPORT, _PROTO_DPORT, _PROTO_ICMP_ID, _PROTO_ICMPV6_ID = 1, 2, 3, 4, 7

Endpoint = tuple[Address, int]
Key = tuple[int, Endpoint, Endpoint]


@dataclass
class Trace:
    """One packet's way through one base chain: the handles of the rules that it matched, in order."""

    table: str
    header: bytes
    handles: list[int] = field(default_factory=list)


def open_traces(namespace: str) -> socket.socket:
    """A socket that every trace event of the namespace comes to."""
    opened = netns.open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    opened.bind((0, 1 << NFTRACE_GROUP - 1))
    return opened


def attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by number."""
    found = {}
    place = 0
    while place + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, place)
        found[kind & 0x3FFF] = data[place + 4 : place + length]
        place += length + 3 & ~3
    return found


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message in a datagram."""
    place = 0
    while place + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, place)
        yield kind, data[place + 16 : place + length]
        place += length + 3 & ~3


class TraceReader:
    """Puts trace events together: the kernel sends the packet's header with the first event of each base chain only."""

    def __init__(self) -> None:
        self._open: dict[bytes, Trace] = {}

    def read(self, data: bytes) -> Iterator[Trace]:
        """The traces that begin in this datagram; their handles fill as more is read."""
        for kind, body in messages(data):
            if kind != _TRACE:
                continue
            event = attributes(body[4:])
            identity = event[_ID]
            if _NETWORK_HEADER in event:
                self._open[identity] = Trace(event[_TABLE].rstrip(b"\0").decode(), event[_NETWORK_HEADER])
                yield self._open[identity]
            if struct.unpack("!I", event[_TYPE])[0] == _TYPE_RULE and _HANDLE in event:  # the end of a chain has none
                self._open[identity].handles.append(struct.unpack("!Q", event[_HANDLE])[0])


def rule_comments(asked: socket.socket, table: str) -> dict[int, str]:
    """The comment of every rule of an inet table, by handle."""
    name = table.encode() + b"\0"
    wanted = struct.pack("=HH", 4 + len(name), 1) + name + b"\0" * (-len(name) % 4)
    asked.send(struct.pack("=IHHIIBBH", 20 + len(wanted), _GETRULE, _REQUEST | _DUMP, 1, 0, _INET, 0, 0) + wanted)
    found: dict[int, str] = {}
    while True:
        for kind, body in messages(asked.recv(1 << 20)):
            if kind == _DONE:
                return found
            assert kind == _NEWRULE, f"the kernel answered {kind} to a dump of rules: {body!r}"
            rule = attributes(body[4:])
            userdata = rule.get(7, b"\0\0")
            assert userdata[0] == 0, "a rule's userdata begins with its comment"
            found[struct.unpack("!Q", rule[3])[0]] = userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode()


def flush_conntrack(asked: socket.socket) -> None:
    """Forget every connection of the socket's namespace."""
    asked.send(struct.pack("=IHHIIBBH", 20, _CT_DELETE, _REQUEST | _ACK, 1, 0, 0, 0, 0))
    for kind, body in messages(asked.recv(65536)):
        assert kind == _ERROR
        assert struct.unpack_from("=i", body)[0] == 0, "conntrack would not be flushed"


def connections(asked: socket.socket) -> dict[Key, int]:
    """The marks of all connections of the socket's namespace, by protocol and ends as they were opened; ICMP's id is its port."""
    asked.send(struct.pack("=IHHIIBBH", 20, _CT_GET, _REQUEST | _DUMP, 1, 0, 0, 0, 0))
    found: dict[Key, int] = {}
    while True:
        for kind, body in messages(asked.recv(1 << 20)):
            if kind == _DONE:
                return found
            assert kind == _CT_NEW, f"the kernel answered {kind} to a dump of connections: {body!r}"
            fields = attributes(body[4:])
            opened = attributes(fields[_TUPLE_ORIG])
            ends, proto = attributes(opened[_TUPLE_IP]), attributes(opened[_TUPLE_PROTO])
            version = 4 if _SOURCE[4] in ends else 6
            ident = proto.get(_PROTO_ICMP_ID, proto.get(_PROTO_ICMPV6_ID, b"\0\0"))
            sport, dport = (struct.unpack("!H", proto.get(each, ident))[0] for each in (_PROTO_SPORT, _PROTO_DPORT))
            source, destination = (ip_address(ends[each[version]]) for each in (_SOURCE, _DESTINATION))
            key = proto[_PROTO_NUM][0], (source, sport), (destination, dport)
            found[key] = struct.unpack("!I", fields.get(_MARK, bytes(4)))[0]
