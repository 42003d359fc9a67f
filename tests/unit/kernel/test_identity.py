"""A rule's digest says the same of the bytes sent and of the bytes dumped, and something else of anything that means else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.kernel import expressions as ex
from edged.kernel import uapi
from edged.kernel.attrs import attribute, be32, nest, parse, text
from edged.kernel.identity import COMMENT_LIMIT, body_digest, comment_in, comment_of, fingerprint_in, note_in, userdata
from edged.kernel.rules import encode_rule
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import AddressIn, Drop, PortIs, PrefixIn, SetGeneration, Side, Transport
from edged.ruleset.tree import Rule

BLOCK = Rule("block", (PortIs(Transport.TCP, Side.DESTINATION, 25), AddressIn(Side.SOURCE, Family.IPV4, "pool4")), Drop())
BODY = encode_rule(BLOCK)


def test_a_rule_that_stands_as_written_is_known() -> None:
    data = parse(attribute(7, comment_of(BLOCK, BODY)))[7]
    assert fingerprint_in(data, BODY) == fingerprint(BLOCK)
    assert comment_in(data) == f"edged:block:{fingerprint(BLOCK)}:{body_digest(BODY)}"


@pytest.mark.parametrize(
    "comment",
    [
        *("", "edged", "edged:block", "edged:block:0123456789abcdef", "edged:block:0123456789abcdef:", "edged:block:xyz:{body}"),
        *(f"mine:block:0123456789abcdef:{body_digest(BODY)}", f"edged:block:0123456789ABCDEF:{body_digest(BODY)}"),
        *(f"edged:block:0123456789abcdef:{body_digest(BODY)}:more", f" edged:block:0123456789abcdef:{body_digest(BODY)}"),
    ],
)
def test_other_comments_are_not_ours(comment: str) -> None:
    assert fingerprint_in(userdata(comment), BODY) == ""


@given(st.none() | st.binary(max_size=60))
def test_any_userdata_can_be_read(data: bytes | None) -> None:
    assert isinstance(comment_in(data), str)
    assert fingerprint_in(data, data or b"") == ""


def test_the_comment_is_found_behind_other_userdata() -> None:
    assert comment_in(bytes((1, 4, 0, 0, 0, 1)) + userdata("edged:x")) == "edged:x"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_comments_fit_whatever_the_rules_name(name: str) -> None:
    rule = Rule(name, BLOCK.when, BLOCK.then)
    data = comment_of(rule, BODY)
    assert len(comment_in(data)) <= COMMENT_LIMIT
    assert fingerprint_in(data, BODY) == fingerprint(rule)


def _expression(name: str, *data: bytes) -> bytes:
    return nest(uapi.LIST_ELEM, text(uapi.EXPR_NAME, name), nest(uapi.EXPR_DATA, *data))


def test_what_the_kernel_adds_changes_nothing() -> None:
    looked = ex.lookup("pool4")
    dumped = _expression("lookup", text(1, "pool4"), be32(2, 1), be32(5, 0))
    assert body_digest(looked) == body_digest(dumped)
    assert body_digest(ex.bitwise(ex.host32(2))) == body_digest(
        _expression(
            "bitwise",
            be32(1, 1),
            be32(2, 1),
            be32(3, 4),
            be32(6, 0),
            nest(4, attribute(1, b"\2\0\0\0")),
            nest(5, attribute(1, bytes(4))),
        )
    )
    # dumps leave out the bit that says "nested", and put their attributes in an order of their own
    bare = attribute(2, attribute(2, be32(2, 0)[:0] + text(2, "low") + be32(1, -3)))
    jumped = attribute(uapi.LIST_ELEM, attribute(2, bare + be32(1, 0)) + text(1, "immediate"))
    assert body_digest(ex.verdict(ex.VerdictCode.JUMP, "low")) == body_digest(jumped)


DISTINCT = [
    b"",
    ex.meta(ex.MetaKey.IIFNAME),
    ex.meta(ex.MetaKey.OIFNAME),
    ex.ct(ex.CtKey.STATE),
    ex.ct(ex.CtKey.DIRECTION),
    ex.payload(ex.HeaderBase.TRANSPORT, 0, 2),
    ex.payload(ex.HeaderBase.TRANSPORT, 2, 2),
    ex.payload(ex.HeaderBase.NETWORK, 2, 2),
    ex.payload(ex.HeaderBase.TRANSPORT, 2, 4),
    ex.cmp(ex.Comparison.EQUAL, b"\0"),
    ex.cmp(ex.Comparison.EQUAL, b"\0\0"),
    ex.cmp(ex.Comparison.NOT_EQUAL, b"\0"),
    ex.bitwise(ex.host32(1)),
    ex.bitwise(ex.host32(2)),
    ex.bitwise(ex.host32(2), ex.host32(1)),
    ex.bitwise(b"\xff\xff\xff\0"),
    ex.ct(ex.CtKey.MARK),
    ex.ct_set(ex.CtKey.MARK),
    ex.reject_as_prohibited(),
    ex.lookup("a"),
    ex.lookup("b"),
    ex.lookup_missing("a"),
    ex.limit_over(1, 5),
    ex.limit_over(2, 5),
    ex.limit_over(1, 6),
    ex.count_in("a"),
    ex.count_in("b"),
    ex.verdict(ex.VerdictCode.ACCEPT),
    ex.verdict(ex.VerdictCode.DROP),
    ex.verdict(ex.VerdictCode.JUMP, "a"),
    ex.verdict(ex.VerdictCode.JUMP, "b"),
    ex.verdict(ex.VerdictCode.GOTO, "a"),
    ex.reject_with_reset(),
    _expression("reject", be32(1, 0), attribute(2, b"\0")),
    _expression("unheard-of"),
    ex.meta(ex.MetaKey.IIFNAME) + ex.meta(ex.MetaKey.OIFNAME),
    ex.meta(ex.MetaKey.OIFNAME) + ex.meta(ex.MetaKey.IIFNAME),
]


def test_what_means_something_else_has_another_digest() -> None:
    assert len({body_digest(body) for body in DISTINCT}) == len(DISTINCT)


def test_a_note_stands_beside_the_rest_and_is_read_back() -> None:
    looked_up = Rule("r" * 200, (PrefixIn(Side.SOURCE, Family.IPV4, 24, "blocklist4_24", "0123456789abcdef"),), Drop())
    marking = Rule("keep", then=SetGeneration(0xFF00, 254, "d"))
    for rule, note in ((looked_up, ("blocklist4_24", "0123456789abcdef")), (marking, ("generation", "254"))):
        body = encode_rule(rule)
        comment = comment_of(rule, body)
        assert len(comment_in(comment)) <= COMMENT_LIMIT
        assert fingerprint_in(comment, body) == fingerprint(rule)
        assert note_in(comment) == note
    assert note_in(comment_of(Rule("plain", then=Drop()), encode_rule(Rule("plain", then=Drop())))) is None
