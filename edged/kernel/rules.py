"""A rule of the tree as nftables' expressions, pure: one `match` over what a rule asks, one over what becomes of a packet.

What a node means is what nft means by it, so each is written in the expressions that nft writes for it; the contract tests
hold `nft list` of the result against the rendered text.
"""

from __future__ import annotations

from typing import assert_never

from edged.addresses import Family
from edged.kernel import expressions as ex
from edged.kernel import uapi
from edged.ruleset.evaluate import in_field
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    Continue,
    DirectionIs,
    Drop,
    GenerationIs,
    GoesOut,
    Goto,
    IsFamily,
    Jump,
    Match,
    PortIs,
    PrefixIn,
    Prohibit,
    RateAbove,
    ResetTcp,
    Return,
    SetGeneration,
    Side,
    StateIn,
    Transport,
    Verdict,
)
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
    counting = ex.count_in(rule.count.name) if rule.count else b""
    return b"".join(body.parts) + counting + _verdict(rule.then)


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
            case AddressIn(side, family, name):
                self._add_address(side, family, ex.lookup(name))
            case AddressNotIn(side, family, name):
                self._add_address(side, family, ex.lookup_missing(name))
            case PrefixIn(side, family, length, name, _):
                network = ((1 << family.bits) - (1 << (family.bits - length))).to_bytes(family.bits // 8, "big")
                masked = b"" if length == family.bits else ex.bitwise(network)
                self._add_address(side, family, masked + ex.lookup(name))
            case GenerationIs(mask, generation):
                value = ex.host32(in_field(mask, generation))
                self.parts += (
                    ex.ct(ex.CtKey.MARK), ex.bitwise(ex.host32(mask)), ex.cmp(ex.Comparison.EQUAL, value),
                )  # fmt: skip
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

    def _add_address(self, side: Side, family: Family, lookup: bytes) -> None:
        self.guard(_of_family(family))
        self.parts.append(ex.payload(ex.HeaderBase.NETWORK, ADDRESS_OFFSET[family, side], family.bits // 8))
        self.parts.append(lookup)


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
        case SetGeneration(mask, generation, _):
            kept = ex.bitwise(ex.host32(mask ^ 0xFFFFFFFF), ex.host32(in_field(mask, generation)))
            return ex.ct(ex.CtKey.MARK) + kept + ex.ct_set(ex.CtKey.MARK)
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
