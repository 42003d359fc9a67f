"""Fragments to one table: the base chain, the points, and each policy's rules in them in the order of semantics G-1.

    forward (hook)  iifname <access>   -> from_access
                    iifname <upstream> -> from_upstream
                    oifname <upstream> -> to_upstream
                    the rules of ANYWHERE

No rule here asks for a conntrack mark or state before the policies have seen the packet: what conntrack calls INVALID or
does not track meets every policy too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edged.ruleset.fragment import Fragment, Point
from edged.ruleset.nodes import CameIn, ConntrackState, GoesOut, Jump, PortIs, StateIn, Transport
from edged.ruleset.tree import Chain, Hook, Rule, Table

# 587: RFC 5068 section 4.1; 465: decided after RFC 8314. Submission stays open whatever a policy says (semantics OP-7).
SUBMISSION_PORTS = frozenset({587, 465})

# nft's `ct` expression switches conntrack on for both families as soon as a rule holds it, jumped to or not, and conntrack
# reassembles fragments at priority -400: so the port rules see whole packets (semantics PK-1) and pay nothing for this.
_REASSEMBLY = Chain("reassemble", (Rule("reassemble", (StateIn((ConntrackState.ESTABLISHED,)),)),))


def compile_table(access: Sequence[str], upstream: Sequence[str], fragments: Sequence[Fragment]) -> Table:
    """The table that enforces the fragments, given in their order of precedence (semantics G-1).

    Raises ValueError where a fragment would touch a submission port, or where the fragments' names clash.
    """
    _refuse_submission(fragments)
    at_point = {
        point: tuple(rule for fragment in fragments for entry in fragment.entries if entry.point is point for rule in entry.rules)
        for point in Point
    }
    points = [point for point in Point if point is not Point.ANYWHERE and at_point[point]]
    ways: dict[Point, tuple[Callable[[str], CameIn | GoesOut], Sequence[str]]] = {
        Point.FROM_ACCESS: (CameIn, access),
        Point.FROM_UPSTREAM: (CameIn, upstream),
        Point.TO_UPSTREAM: (GoesOut, upstream),
    }
    forward = tuple(
        Rule(f"{point.value}.{interface}", (ways[point][0](interface),), Jump(point.value))
        for point in points
        for interface in ways[point][1]
    )
    return Table(
        counters=tuple(counter for fragment in fragments for counter in fragment.counters),
        sets=tuple(each for fragment in fragments for each in fragment.sets),
        chains=(
            Chain("forward", forward + at_point[Point.ANYWHERE], Hook()),
            *(Chain(point.value, at_point[point]) for point in points),
            *(chain for fragment in fragments for chain in fragment.chains),
            _REASSEMBLY,
        ),
    )


def _refuse_submission(fragments: Sequence[Fragment]) -> None:
    for rule in (rule for fragment in fragments for rule in fragment.rules):
        for match in rule.when:
            if isinstance(match, PortIs) and match.transport is Transport.TCP and match.port in SUBMISSION_PORTS:
                raise ValueError(f"rule {rule.name} would touch submission port {match.port}, which no policy may (OP-7)")
