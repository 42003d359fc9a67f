"""What conntrack will say of each shot: a prediction, small because the shots of one trial meet in few ways.

The real conntrack is asked too (by rules of a foreign table), and a trial fails where it says something else: so the model
is never told a state that was not there. Sources: net/netfilter/nf_conntrack_core.c, nf_conntrack_proto_tcp.c and
nf_conntrack_proto_icmp.c, with nf_conntrack_tcp_loose and nf_conntrack_checksum on, which is how the kernel comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edged.packet.packet import FlowState
from edged.ruleset.nodes import ConntrackDirection, ConntrackState
from tests.netns.differential.netfilter import Key
from tests.netns.differential.shots import ACK, FIN, ISN, PEER_ISN, PSH, RST, SYN, URG, Echo, Other, Shot, Tcp, Udp, Unreachable

INVALID = FlowState(ConntrackState.INVALID, None)
UNTRACKED = FlowState(ConntrackState.UNTRACKED, None)
NEW = FlowState(ConntrackState.NEW, ConntrackDirection.ORIGINAL)

# tcp_valid_flags of nf_conntrack_proto_tcp.c; PSH, ECE and CWR are not looked at
_VALID_FLAGS = {
    *(SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG),
}


@dataclass
class _Flow:
    """A connection that conntrack keeps."""

    answered: bool = False
    handshake: bool = False  # TCP: the peer's SYN was seen
    mark: int = 0


class Conntrack:
    """The connections of one trial."""

    def __init__(self) -> None:
        self._flows: dict[Key, _Flow] = {}

    def arrives(self, shot: Shot) -> FlowState:
        """The state and mark that the shot has at the rules; a connection that it opens is kept only where it passes them."""
        state, flow = self._state(shot), self._flow(shot)
        return replace(state, mark=flow.mark) if flow and state.direction else state

    def _state(self, shot: Shot) -> FlowState:
        if not shot.tracked:
            return UNTRACKED
        match shot.form:
            case Tcp():
                return self._tcp(shot, shot.form)
            case Udp():
                return self._known(shot) if shot.form.length >= 8 and shot.form.good_checksum else INVALID
            case Echo(request):
                found = self._known(shot)
                return INVALID if found == NEW and not request else found
            case Unreachable(about):
                opened = (17, (shot.destination, about.sport), (shot.source, about.dport))
                if opened in self._flows:
                    return FlowState(ConntrackState.RELATED, ConntrackDirection.REPLY)
                return INVALID
            case Other():
                return self._known(shot)

    def leaves(self, shot: Shot, state: FlowState, mark: int, *, passed: bool) -> None:
        """The shot is through with the rules: what they wrote stays with its connection, and one it opened is kept if it passed.

        An ICMP error's connection is the one it tells of.
        """
        if state.direction is None:
            return
        if flow := self._flow(shot):
            flow.mark = mark
        elif passed:
            self._flows[key(shot)] = _Flow(mark=mark)

    def marks(self) -> dict[Key, int]:
        """The marks of the connections that have one, by how they were opened."""
        return {opened: flow.mark for opened, flow in self._flows.items() if flow.mark}

    def _flow(self, shot: Shot) -> _Flow | None:
        return self._flows.get(key(shot)) or self._flows.get(turned(key(shot)))

    def _known(self, shot: Shot) -> FlowState:
        """Of a protocol whose connections have no states of their own."""
        if flow := self._flows.get(key(shot)):
            answered = ConntrackState.ESTABLISHED if flow.answered else ConntrackState.NEW
            return FlowState(answered, ConntrackDirection.ORIGINAL)
        if flow := self._flows.get(turned(key(shot))):
            flow.answered = True
            return FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.REPLY)
        return NEW

    def _tcp(self, shot: Shot, form: Tcp) -> FlowState:
        if form.length < 20 or not form.good_checksum or form.flags & ~PSH not in _VALID_FLAGS:
            return INVALID
        own, other = self._flows.get(key(shot)), self._flows.get(turned(key(shot)))
        if own is None and other is None:
            # picked up in the middle: a plain ACK opens a connection, what only ends or answers one does not
            return NEW if form.flags & ~(PSH | URG) in (SYN, ACK) else INVALID
        if other is not None:
            return self._tcp_reply(form, other)
        assert own is not None
        if not own.handshake:
            return INVALID
        return FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.ORIGINAL) if form.seq == ISN + 1 else INVALID

    def _tcp_reply(self, form: Tcp, flow: _Flow) -> FlowState:
        if form.flags & ~PSH == SYN | ACK:
            flow.answered = flow.handshake = True
        elif flow.handshake and form.seq != PEER_ISN + 1:
            return INVALID  # far out of the window; a plain ACK that answers a SYN is let by (sIG in the table of states)
        return FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.REPLY)


def key(shot: Shot) -> Key:
    """What tells the shot's connection from others, in the shot's direction."""
    match shot.form:
        case Tcp(sport, dport) | Udp(sport, dport):
            return shot.protocol, (shot.source, sport), (shot.destination, dport)
        case Echo(ident=ident):
            return shot.protocol, (shot.source, ident), (shot.destination, ident)
        case Unreachable(about):
            return 17, (shot.source, about.dport), (shot.destination, about.sport)
        case Other(protocol):
            return protocol, (shot.source, 0), (shot.destination, 0)


def turned(one: Key) -> Key:
    """The same connection in the other direction."""
    protocol, source, destination = one
    return protocol, destination, source
