"""Who a rule in the kernel is: its comment, and whether its body is still the one that was written with the comment.

    comment  edged:<rule>:<fingerprint>:<body>[:<note>=<value>]

The fingerprint says which rule of the tree it was; the body digest is taken over the expressions, so that an edit in place
(`nft replace rule` with the comment kept) shows. The kernel does not give back the bytes it got: it adds attributes, reorders
them and counts. So the digest is taken over the attributes that carry the meaning, listed below, and comes out the same from
the bytes sent and from the bytes dumped. The note is the rule's own (tree.Rule.note), for content that is never read back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2s

from edged.kernel import uapi
from edged.kernel.attrs import each, parse, string
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.tree import Rule

COMMENT_LIMIT = 128  # NFTNL_UDATA_COMMENT_MAXLEN; nft shows no longer ones
_NAME_LIMIT = COMMENT_LIMIT - len("edged:" + ":" + "0" * 16 + ":" + "0" * 8)
_COMMENT = re.compile(
    r"edged:(?P<rule>.*):(?P<fingerprint>[0-9a-f]{16}):(?P<body>[0-9a-f]{8})(?::(?P<note>[a-z0-9_]+)=(?P<value>[0-9a-f]+))?"
)
_COMMENT_TYPE = 0  # NFTNL_UDATA_RULE_COMMENT and NFTNL_UDATA_SET_ELEM_COMMENT


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The attributes of an expression that carry its meaning."""

    plain: tuple[int, ...]
    unless_zero: tuple[int, ...] = ()  # at zero they say the same as when missing
    data: tuple[int, ...] = ()  # NFTA_DATA_*: a value or a verdict, in a nest


# By expression, attribute numbers of linux/netfilter/nf_tables.h. An expression that is not here counts by its name alone:
# edged writes no such one, so the rule is not ours any more whatever it holds.
_MEANING = {
    "meta": _Meaning((1, 2, 3)),  # DREG KEY SREG
    "ct": _Meaning((1, 2, 3, 4)),  # DREG KEY DIRECTION SREG
    "payload": _Meaning((1, 2, 3, 4, 5)),  # DREG BASE OFFSET LEN SREG
    "cmp": _Meaning((1, 2), data=(3,)),  # SREG OP; DATA
    "bitwise": _Meaning((1, 2, 3), unless_zero=(6,), data=(4, 5, 7)),  # SREG DREG LEN; OP; MASK XOR DATA
    "byteorder": _Meaning((1, 2, 3, 4, 5)),  # SREG DREG OP LEN SIZE
    "lookup": _Meaning((1, 2), unless_zero=(3, 5)),  # SET SREG; DREG FLAGS
    "dynset": _Meaning((1, 3, 4, 6), unless_zero=(9,)),  # SET_NAME OP SREG_KEY TIMEOUT; FLAGS
    "limit": _Meaning((1, 2, 3), unless_zero=(4, 5)),  # RATE UNIT BURST; TYPE FLAGS
    "objref": _Meaning((1, 2, 3, 4)),  # IMM_TYPE IMM_NAME, or SET_SREG SET_NAME
    "queue": _Meaning((1, 2), unless_zero=(3,)),  # NUM TOTAL; FLAGS
    "target": _Meaning((1, 2, 3)),  # NAME REV INFO
    "immediate": _Meaning((1,), data=(2,)),  # DREG; DATA
    "reject": _Meaning((1,), unless_zero=(2,)),  # TYPE; ICMP_CODE (not dumped for a TCP reset)
}


def body_digest(expressions: bytes) -> str:
    """8 hex digits over what the expressions (the payload of NFTA_RULE_EXPRESSIONS) mean."""
    meanings = b"".join(_meaning_of(element) for _, element in each(expressions))
    return blake2s(meanings, digest_size=4).hexdigest()


@lru_cache(maxsize=4096)  # rules repeat the same few expressions, and the kernel dumps each the same way every time
def _meaning_of(expression: bytes) -> bytes:
    """One expression without what the kernel adds, with its length before it."""
    fields = parse(expression)
    name = string(fields.get(uapi.EXPR_NAME))
    said = name.encode() + b"\0"
    if meaning := _MEANING.get(name):
        said += _meaningful(parse(fields.get(uapi.EXPR_DATA, b"")), meaning)
    return len(said).to_bytes(2, "big") + said


def _meaningful(data: dict[int, bytes], meaning: _Meaning) -> bytes:
    """The attributes that carry meaning, in the order of the table, each with number and length before it."""
    kept = [(kind, data[kind]) for kind in meaning.plain if kind in data]
    kept += [(kind, data[kind]) for kind in meaning.unless_zero if any(data.get(kind, b""))]
    kept += [(kind, _value_or_verdict(data[kind])) for kind in meaning.data if kind in data]
    return b"".join(kind.to_bytes(1, "big") + len(value).to_bytes(2, "big") + value for kind, value in kept)


def _value_or_verdict(payload: bytes) -> bytes:
    """What a data nest says: the kernel's dumps leave out the NESTED bits that a sender sets."""
    fields = parse(payload)
    if uapi.DATA_VALUE in fields:
        return b"value" + fields[uapi.DATA_VALUE]
    decision = parse(fields.get(uapi.DATA_VERDICT, b""))
    return b"verdict" + decision.get(uapi.VERDICT_CODE, b"") + decision.get(uapi.VERDICT_CHAIN, b"")


def comment_of(rule: Rule, expressions: bytes) -> bytes:
    """The rule's userdata: its comment as nft writes one. A name too long for nft is cut; the fingerprint covers all of it."""
    note = ":{}={}".format(*rule.note) if rule.note else ""
    return userdata(f"edged:{rule.name[: _NAME_LIMIT - len(note)]}:{fingerprint(rule)}:{body_digest(expressions)}{note}")


def userdata(comment: str) -> bytes:
    """A comment as nft stores it: type, length, text and NUL."""
    encoded = comment.encode() + b"\0"
    return bytes((_COMMENT_TYPE, len(encoded))) + encoded


def comment_in(payload: bytes | None) -> str:
    """The comment in a userdata; "" where there is none."""
    rest = payload or b""
    while len(rest) >= 2:
        kind, length = rest[0], rest[1]
        if kind == _COMMENT_TYPE:
            return string(rest[2 : 2 + length])
        rest = rest[2 + length :]
    return ""


def fingerprint_in(comment_data: bytes | None, expressions: bytes) -> str:
    """The fingerprint of a rule as it stands in the kernel; "" where it is not as edged wrote it."""
    found = _COMMENT.fullmatch(comment_in(comment_data))
    if found is None or found["body"] != body_digest(expressions):
        return ""
    return found["fingerprint"]


def note_in(comment_data: bytes | None) -> tuple[str, str] | None:
    """The note in a rule's comment; it stands whatever became of the rule, for it says what edged did beside it."""
    found = _COMMENT.fullmatch(comment_in(comment_data))
    return (found["note"], found["value"]) if found and found["note"] else None
