"""A rule of the tree as nftables' expressions, pure: one `match` over what a rule asks, one over what becomes of a packet.

What a node means is what nft means by it, so each is written in the expressions that nft writes for it; the contract tests
hold `nft list` of the result against the rendered text.
"""

from __future__ import annotations

from typing import assert_never

from edged.addresses import Family
from edged.kernel import expressions as ex
from edged.kernel import uapi
from edged.marks import in_field
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    Continue,
    DirectionIs,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    Goto,
    HasLease,
    IsFamily,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    PrefixIn,
    Prohibit,
    Queue,
    QueueForm,
    RateAbove,
    Remember,
    ResetTcp,
    Return,
    SetGeneration,
    SetMark,
    Side,
    StateIn,
    Transport,
    TransportIs,
    Verdict,
)
from edged.ruleset.sets import KEY_LENGTH
from edged.ruleset.tree import Rule

NFPROTO_OF = {Family.IPV4: uapi.NFPROTO_IPV4, Family.IPV6: uapi.NFPROTO_IPV6}
ADDRESS_OFFSET = {  # RFC 791 section 3.1, RFC 8200 section 3
    (Family.IPV4, Side.SOURCE): 12,
    (Family.IPV4, Side.DESTINATION): 16,
    (Family.IPV6, Side.SOURCE): 8,
    (Family.IPV6, Side.DESTINATION): 24,
}


def encode_rule(rule: Rule) -> bytes:
    """The rule's expressions: all of `when`, the counter, the verdict."""
    body = _Body()
    for match in rule.when:
        body.add_match(match)
    if isinstance(rule.then, ResetTcp):
        # the kernel builds a reset for TCP only, and wants the rule to say so; before the counter, which counts resets
        body.parts.append(_of_transport(Transport.TCP))
    if rule.count is not None:
        body.parts.append(ex.count_in(rule.count.name))
    if isinstance(rule.then, Remember):
        body.add_network(rule.then.side, rule.then.family, KEY_LENGTH[rule.then.family])
    return b"".join(body.parts) + _verdict(rule.then)


class _Body:
    """The matches of one rule, as they come.

    In an inet table a header may be read only after its protocol is known; such a guard holds for the rest of the rule, so
    it is written once, as nft does.
    """

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def guard(self, check: bytes) -> None:
        """Write a protocol check, unless the rule has it already."""
        if check not in self.parts:
            self.parts.append(check)

    def add_match(self, match: Match) -> None:
        match match:
            case CameIn(interface):
                self._add_interface(ex.MetaKey.IIFNAME, interface)
            case GoesOut(interface):
                self._add_interface(ex.MetaKey.OIFNAME, interface)
            case IsFamily(family):
                self.guard(_of_family(family))
            case PortIs(transport, side, port):
                # PK-2: the transport header is where the kernel found it, behind all IPv6 extension headers
                self.guard(_of_transport(transport))
                offset = 0 if side is Side.SOURCE else 2
                self.parts.append(ex.payload(ex.HeaderBase.TRANSPORT, offset, 2))
                self.parts.append(ex.cmp(ex.Comparison.EQUAL, port.to_bytes(2, "big")))
            case TransportIs(transport):
                self.guard(_of_transport(transport))
            case AddressIn(side, family, name):
                self.add_network(side, family, family.bits)
                self.parts.append(ex.lookup(name))
            case AddressNotIn(side, family, name):
                self.add_network(side, family, family.bits)
                self.parts.append(ex.lookup_missing(name))
            case PrefixIn(side, family, length, name, _):
                self.add_network(side, family, length)
                self.parts.append(ex.lookup(name))
            case HasLease(side, family, name):
                self.add_network(side, family, KEY_LENGTH[family])
                self.parts += (ex.lookup_value(name), ex.meta_set(ex.MetaKey.PRIORITY))
            case OverLimit(side, family, name):
                self.add_network(side, family, KEY_LENGTH[family])
                self.parts.append(ex.object_of(name))
            case GenerationIs(mask, value) | MarkIs(mask, value):
                self.parts.append(ex.ct(ex.CtKey.MARK))
                self._add_field(mask, value)
            case PacketMarkIs(mask, value):
                self.parts.append(ex.meta(ex.MetaKey.MARK))
                self._add_field(mask, value)
            case FlowBytesAbove(octets):
                self._add_count(ex.CtKey.BYTES, ex.Comparison.GREATER, octets)
            case FlowPacketsBelow(packets):
                self._add_count(ex.CtKey.PACKETS, ex.Comparison.LESS, packets)
            case StateIn(states):
                mask = sum(ex.STATE_BITS[state] for state in set(states))
                self.parts += (
                    ex.ct(ex.CtKey.STATE), ex.bitwise(ex.host32(mask)), ex.cmp(ex.Comparison.NOT_EQUAL, bytes(4)),
                )  # fmt: skip
            case DirectionIs(direction):
                number = 0 if direction is ConntrackDirection.ORIGINAL else 1  # IP_CT_DIR_*
                self.parts += (ex.ct(ex.CtKey.DIRECTION), ex.cmp(ex.Comparison.EQUAL, bytes((number,))))
            case RateAbove(per_second, burst):
                self.parts.append(ex.limit_over(per_second, burst))
            case _:
                assert_never(match)

    def _add_interface(self, key: ex.MetaKey, name: str) -> None:
        if compared := ex.interface_name(name):  # a lone * is every interface: nothing to compare
            self.parts.append(ex.meta_equals(key, compared))

    def add_network(self, side: Side, family: Family, length: int) -> None:
        """Load the network of that length around the address at an end."""
        self.guard(_of_family(family))
        self.parts.append(ex.payload(ex.HeaderBase.NETWORK, ADDRESS_OFFSET[family, side], family.bits // 8))
        if length != family.bits:
            network = (1 << family.bits) - (1 << (family.bits - length))
            self.parts.append(ex.bitwise(network.to_bytes(family.bits // 8, "big")))

    def _add_field(self, mask: int, value: int) -> None:
        """Compare the bits of the mark that is loaded."""
        self.parts += (ex.bitwise(ex.host32(mask)), ex.cmp(ex.Comparison.EQUAL, ex.host32(in_field(mask, value))))

    def _add_count(self, key: ex.CtKey, comparison: ex.Comparison, count: int) -> None:
        """Compare what conntrack has counted of the connection, a number of 64 bits."""
        self.parts += (ex.ct(key), ex.to_network_order(8), ex.cmp(comparison, count.to_bytes(8, "big")))


def _of_family(family: Family) -> bytes:
    return ex.meta_equals(ex.MetaKey.NFPROTO, bytes((NFPROTO_OF[family],)))


def _of_transport(transport: Transport) -> bytes:
    return ex.meta_equals(ex.MetaKey.L4PROTO, bytes((transport.value,)))


def _verdict(then: Verdict) -> bytes:
    match then:
        case Accept():
            return ex.verdict(ex.VerdictCode.ACCEPT)
        case Drop():
            return ex.verdict(ex.VerdictCode.DROP)
        case ResetTcp():
            return ex.reject_with_reset()
        case Prohibit():
            return ex.reject_as_prohibited()
        case SetGeneration(mask, value, _) | SetMark(mask, value):
            kept = ex.bitwise(ex.host32(mask ^ 0xFFFFFFFF), ex.host32(in_field(mask, value)))
            return ex.ct(ex.CtKey.MARK) + kept + ex.ct_set(ex.CtKey.MARK)
        case Remember(_, _, name, seconds):
            return ex.update(name, seconds * 1000)
        case Queue(queues, form):
            return ex.queue(0, queues) if form is QueueForm.EXPRESSION else ex.queue_target(0, queues)
        case Jump(chain):
            return ex.verdict(ex.VerdictCode.JUMP, chain)
        case Goto(chain):
            return ex.verdict(ex.VerdictCode.GOTO, chain)
        case Return():
            return ex.verdict(ex.VerdictCode.RETURN)
        case Continue():
            return b""
        case _:
            assert_never(then)
