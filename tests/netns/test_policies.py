"""The policies by real packets and real sockets through the throw-away gateway, named by the statements they prove.

The lab tests go the everyday ways; here are the ones that somebody would try in order to get by.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count, product

import pytest

from edged.addresses import Address, Family
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.lab import topology as made_of
from edged.lab.topology import Host, Topology
from edged.policies import POLICIES, Blocklist, Ip53b, Op25b, Policy, Spoof
from edged.policies.capping import QUEUED_PACKETS
from edged.ruleset.plan import Desired
from tests.gateway import SERVERS, SITE, make, table_of
from tests.netns.differential.shots import (
    ACK,
    DESTINATION_OPTIONS,
    FIN,
    HOP_BY_HOP,
    ROUTING,
    RST,
    SYN,
    Form,
    Shot,
    Tcp,
    Udp,
)
from tests.netns.differential.world import number_of
from tests.netns.topology import INET
from tests.promises import Measured

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
ETH_P_ALL = 3

_numbers = count(1)


@contextmanager
def gateway(topology: Topology, *policies: Policy) -> Iterator[LinuxKernel]:
    """The policies in force in the gateway, alone."""
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        table = table_of(policies, SITE, int(time.time()))
        enforce(kernel, Desired(table, queue=kernel.capabilities().queue), time.time)
        try:
            yield kernel
        finally:
            enforce(kernel, None, time.time)


def everything() -> list[Policy]:
    """All but the blocklist, which stands in front and would stop the same packets; test_blocklist.py is about it."""
    return [make(kind) for kind in POLICIES if kind is not Blocklist]


def shot(source: Address, destination: Address, form: Form, **wire: object) -> Shot:
    return Shot(next(_numbers), "lan0", "wan0", source, destination, form, **wire)  # type: ignore[arg-type]


def arrived(sender: Host, receiver: Host, shots: Iterable[Shot]) -> set[int]:
    """The numbers of the shots that came to the receiver's namespace; a last one, to UDP port 9, says that none will follow."""
    fired = list(shots)
    source, destination = fired[0].source, fired[0].destination
    family = Family.of(source)
    honest, end = sender.address(family), shot(sender.address(family), destination, Udp(9, 9))
    assert honest.version == source.version
    with (
        receiver.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as capture,
        sender.socket(INET[family], socket.SOCK_RAW, socket.IPPROTO_RAW) as outlet,
    ):
        for each in (*fired, end):
            for datagram in each.datagrams(serial=each.number):
                outlet.sendto(datagram, (str(each.destination), 0))
        capture.settimeout(5)
        seen: set[int] = set()
        while end.number not in seen:
            if (number := number_of(capture.recv(2048)[14:])) is not None:
                seen.add(number)
    return seen & {each.number for each in fired}


def connects(client: Host, server: Address, port: int) -> str:
    """What a client's connection comes to, within a second."""
    with client.socket(INET[Family.of(server)], socket.SOCK_STREAM) as connecting:
        connecting.settimeout(1)
        try:
            connecting.bind((str(client.address(Family.of(server))), 0))
            connecting.connect((str(server), port))
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silence"
        return "connected"


@contextmanager
def listening(host: Host, family: Family, port: int) -> Iterator[socket.socket]:
    with host.socket(INET[family], socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((str(host.address(family)), port))
        server.listen()
        yield server


def packets(kernel: LinuxKernel) -> dict[str, int]:
    """What was stopped, or would have been."""
    queued = QUEUED_PACKETS.name
    return {name: value.packets for name, value in kernel.counters().items() if value.packets and name != queued}


# --- INVALID, untracked and mid-flow packets: the generation-mark trap ---

STATELESS = [
    pytest.param("", id="invalid"),
    pytest.param("table inet theirs { chain raw { type filter hook prerouting priority -300; notrack; }; }", id="untracked"),
]
# a lone ACK with a good checksum is taken for a connection that is under way (nf_conntrack_tcp_loose); the others are INVALID
ODD_TCP = [(flags, good) for flags, good in product((RST, FIN, 0, SYN | ACK, SYN | FIN, ACK), (True, False))]


@pytest.mark.promise(19)
@FAMILIES
@pytest.mark.parametrize("foreign", STATELESS)
def test_invalid_untracked_and_mid_flow_packets_meet_every_policy(
    topology: Topology, foreign: str, family: Family, measured: Measured
) -> None:
    """OP-3 and G-1: what conntrack has no connection for passes none of the policies, and all else."""
    dynamic, outside = topology.dynamic.address(family), topology.outside.address(family)
    stranger = made_of.STRANGER[0 if family is Family.IPV4 else 1]

    def odd(source: Address, destination: Address, sport: int, dport: int) -> list[Shot]:
        return [shot(source, destination, Tcp(sport, dport, flags, good_checksum=good)) for flags, good in ODD_TCP]

    def dns(dport: int) -> list[Shot]:
        return [shot(outside, dynamic, Udp(sport, dport, good_checksum=False)) for sport in (53, 4000)]

    if foreign:
        topology.gateway.run(["nft", foreign], check=True)
    up, down = (topology.dynamic, topology.outside), (topology.outside, topology.dynamic)
    fired = 0
    with gateway(topology, *everything()) as kernel:
        for (sender, receiver), near_misses, shots in (
            (up, odd(dynamic, outside, 4000, 26), odd(dynamic, outside, 4000, 25)),
            (down, odd(outside, dynamic, 26, 4000), odd(outside, dynamic, 25, 4000)),
            (down, dns(54), dns(53)),
            (up, odd(dynamic, outside, 4000, 80), odd(stranger, outside, 4000, 80)),
            (down, odd(outside, dynamic, 80, 4000), odd(topology.static.address(family), dynamic, 80, 4000)),
        ):
            assert arrived(sender, receiver, near_misses) == {each.number for each in near_misses}, "the control"
            assert arrived(sender, receiver, shots) == set()
            fired += len(shots)
        counted = packets(kernel)
    measured(
        f"port rules and spoof, {family.label}: 0 of {fired} {'untracked' if foreign else 'INVALID or mid-flow'} packets passed"
    )
    word = family.value
    assert counted == {
        f"op25b_up_{word}_reject": len(ODD_TCP),
        f"op25b_down_{word}_drop": len(ODD_TCP),
        f"ip53b_down_{word}_drop": 2,
        f"spoof_up_{word}_drop": len(ODD_TCP),
        f"spoof_down_{word}_drop": len(ODD_TCP),
    }


# --- fragments and extension headers ---


@pytest.mark.promise(19)
@FAMILIES
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_pk1_port_rules_see_through_fragments_with_edged_alone_in_the_kernel(
    shared_topology: Topology, backwards: bool, family: Family
) -> None:
    """No other table switches reassembly on here: edged's own has to."""
    at = shared_topology
    ends = at.dynamic.address(family), at.outside.address(family)
    cuts = [(8,), (16,), (8, 16)]

    def cut(port: int) -> list[Shot]:
        return [shot(*ends, Tcp(5000, port), cuts=each, backwards=backwards) for each in cuts]

    with gateway(at, *everything()):
        assert arrived(at.dynamic, at.outside, cut(25)) == set()
        let_by = arrived(at.dynamic, at.outside, control := cut(587))
    assert let_by == {each.number for each in control}


def test_pk2_port_rules_see_past_extension_headers(shared_topology: Topology) -> None:
    at = shared_topology
    ends = at.dynamic.ipv6, at.outside.ipv6
    chains = [
        (HOP_BY_HOP,),
        (DESTINATION_OPTIONS,),
        (ROUTING,),
        (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, DESTINATION_OPTIONS),
    ]
    with gateway(at, *everything()):
        assert arrived(at.dynamic, at.outside, [shot(*ends, Tcp(5000, 25), extensions=chain) for chain in chains]) == set()
        control = [shot(*ends, Tcp(5000, 587), extensions=chain) for chain in chains]
        assert arrived(at.dynamic, at.outside, control) == {each.number for each in control}


# --- connections ---


@pytest.mark.promise(19)
@FAMILIES
def test_flows_older_than_the_rules_are_stopped(topology: Topology, family: Family, measured: Measured) -> None:
    """Each flow goes both ways before the rule is there, so that conntrack has it as established."""
    dynamic, outside = topology.dynamic.address(family), topology.outside.address(family)
    up, down = (topology.dynamic, topology.outside), (topology.outside, topology.dynamic)
    flows = [
        (up, shot(dynamic, outside, Tcp(4100, 25, ACK)), shot(outside, dynamic, Tcp(25, 4100, ACK))),
        (down, shot(outside, dynamic, Udp(4100, 53)), shot(dynamic, outside, Udp(53, 4100))),
        (up, shot(topology.foreign_mail.address(family) + 9, outside, Udp(4100, 80)), None),
        (up, shot(dynamic, outside, Udp(4100, 80)), shot(outside, dynamic, Udp(80, 4100))),
    ]
    for (sender, receiver), there, back in flows:
        assert arrived(sender, receiver, [there]) == {there.number}, "the control"
        if back is not None:
            assert arrived(receiver, sender, [back]) == {back.number}, "the control"
    with gateway(topology, *everything()):
        passed = [bool(arrived(*way, [replace(there, number=next(_numbers))])) for way, there, _ in flows]
    assert passed == [False, False, False, True], "OP25B, IP53B, spoof; and the flow that no rule is about"
    measured(f"flows older than the rules, {family.label}: 0 of 3 passed, the one that no rule is about did")


@pytest.mark.promise(19)
@FAMILIES
def test_op3_a_connection_that_began_before_the_rule_is_cut(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    with listening(at.foreign_mail, family, 25) as server, at.dynamic.socket(INET[family], socket.SOCK_STREAM) as client:
        client.bind((str(at.dynamic.address(family)), 0))
        client.connect(server.getsockname()[:2])
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"220 mail\r\n")
            assert client.recv(64) == b"220 mail\r\n"
            with gateway(at, make(Op25b)):
                client.sendall(b"EHLO there\r\n")
                client.settimeout(2)
                with pytest.raises(ConnectionResetError):
                    client.recv(64)
                accepted.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    accepted.recv(64)


@FAMILIES
def test_op4_a_whole_conversation_with_an_exempt_server_passes(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    policy = make(Op25b, exempt={"destinations": SERVERS})
    with gateway(at, policy, make(Spoof)), listening(at.own_mail, family, 25), listening(at.foreign_mail, family, 25):
        assert connects(at.dynamic, at.own_mail.address(family), 25) == "connected"
        assert connects(at.dynamic, at.foreign_mail.address(family), 25) == "refused"
        assert connects(at.static, at.foreign_mail.address(family), 25) == "connected"


@FAMILIES
def test_op8_above_the_limit_resets_become_counted_drops(shared_topology: Topology, family: Family) -> None:
    """A burst of 3,000 SYNs gets the burst of 1,000 resets, and what refills meanwhile; every SYN is counted."""
    at = shared_topology
    ends = at.dynamic.address(family), at.outside.address(family)
    burst = [shot(*ends, Tcp(10000 + number, 25)) for number in range(3000)]
    with gateway(at, make(Op25b)) as kernel:
        began = time.monotonic()
        assert arrived(at.dynamic, at.outside, burst) == set()
        seconds = time.monotonic() - began
        counted = packets(kernel)
    resets, drops = (counted[f"op25b_up_{family.value}_{verdict}"] for verdict in ("reject", "drop"))
    assert resets + drops == 3000
    assert 1000 <= resets <= 1000 + 1000 * seconds + 10


@FAMILIES
def test_op8_nothing_is_answered_from_outside(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    dynamic, outside = at.dynamic.address(family), at.outside.address(family)
    probes = [shot(outside, dynamic, Tcp(25, 5000, SYN | ACK)), shot(outside, dynamic, Udp(4000, 53))]
    with (
        gateway(at, *everything()) as kernel,
        at.outside.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as heard,
    ):
        heard.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        assert arrived(at.outside, at.dynamic, probes) == set()
        time.sleep(0.1)
        heard.setblocking(False)
        answers = []
        try:
            while True:
                answers.append(heard.recv(2048)[14:])
        except BlockingIOError:
            pass
        assert sum(packets(kernel).values()) == 2
    unreachable = at.dynamic.address(family).packed  # the subscriber's own word about the last packet, to UDP port 9
    from_others = [answer for answer in answers if _is_answer(answer) and _source(answer) != unreachable]
    assert not from_others


def _is_answer(datagram: bytes) -> bool:
    """TCP or an ICMP error; neighbour discovery and the like are none."""
    if datagram[0] >> 4 == 4:
        return datagram[9] in (1, 6)
    return datagram[0] >> 4 == 6 and (datagram[6] == 6 or (datagram[6] == 58 and datagram[40] < 128))


def _source(datagram: bytes) -> bytes:
    return datagram[12:16] if datagram[0] >> 4 == 4 else datagram[8:24]


@FAMILIES
def test_op9_traffic_between_subscribers_is_for_scope_all(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    with listening(at.static, family, 25):
        for scope, outcome in (("external", "connected"), ("all", "refused")):
            with gateway(at, make(Op25b, scope=scope), make(Spoof)):
                assert connects(at.dynamic, at.static.address(family), 25) == outcome


@FAMILIES
def test_op10_an_exemption_ends_though_nobody_runs(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    until = int(time.time()) + 2
    exempt = {"prefix": str(at.dynamic.address(family)), "until": until, "owner": "noc", "reason": "ticket 4711"}
    with (
        gateway(at, make(Op25b, exempt={"subscribers": [exempt]})),
        listening(at.foreign_mail, family, 25),
    ):
        assert connects(at.dynamic, at.foreign_mail.address(family), 25) == "connected"
        time.sleep(max(0.0, until + 0.5 - time.time()))
        assert connects(at.dynamic, at.foreign_mail.address(family), 25) == "refused"


@FAMILIES
@pytest.mark.parametrize("only", [True, False], ids=["unsolicited only", "stateless"])
def test_ip3_the_answer_to_a_query_from_port_53(shared_topology: Topology, only: bool, family: Family) -> None:
    at = shared_topology
    with (
        gateway(at, make(Ip53b, unsolicited_only=only), make(Spoof)),
        at.dynamic.socket(INET[family], socket.SOCK_DGRAM) as old_resolver,
        at.resolver.socket(INET[family], socket.SOCK_DGRAM) as server,
        at.outside.socket(INET[family], socket.SOCK_DGRAM) as stranger,
    ):
        for each, host, port in ((old_resolver, at.dynamic, 53), (server, at.resolver, 53), (stranger, at.outside, 53)):
            each.bind((str(host.address(family)), port))
            each.settimeout(0.5)
        old_resolver.sendto(b"query", server.getsockname()[:2])
        asked_by = server.recvfrom(64)[1]
        stranger.sendto(b"unsolicited", asked_by[:2])
        server.sendto(b"answer", asked_by[:2])
        if only:
            assert old_resolver.recv(64) == b"answer"
        else:
            with pytest.raises(TimeoutError):
                old_resolver.recv(64)


@FAMILIES
def test_g4_observe_counts_and_stops_nothing(shared_topology: Topology, family: Family) -> None:
    at = shared_topology
    with (
        gateway(at, *(make(kind, mode="observe") for kind in POLICIES if kind is not Blocklist)) as kernel,
        listening(at.foreign_mail, family, 25),
    ):
        assert connects(at.dynamic, at.foreign_mail.address(family), 25) == "connected"
        counted = packets(kernel)
    assert set(counted) == {f"op25b_{direction}_{family.value}_observe" for direction in ("up", "down")}
