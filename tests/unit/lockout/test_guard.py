"""The guard: which policy would cut whom off, and what of it is no lock-out."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.configuration import Configuration
from edged.errors import ExitCode, Refused
from edged.lockout import guard
from edged.lockout.farend import FarEnd, Login, Role
from edged.lockout.guard import cuts, refuse_cuts, unguarded
from edged.ruleset.nodes import Drop
from edged.ruleset.tree import Chain, Hook, Rule, Table
from edged.sources.stored import StoredList
from tests.gateway import NOW, entries
from tests.unit.config.files import EDGED, loaded

OURS = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8:a::1")}
SPOOF = "policy: spoof\n"
IP53B = "policy: ip53b\nscope: all\n"
BLOCKLIST = "policy: blocklist\nlists: [{name: bad, path: bad.txt}]\n"


def end(address: str, interface: str = "wan0", role: Role = Role.LOGIN, through: Login | None = None) -> FarEnd:
    found = ip_address(address)
    return FarEnd(found, role, "as a test says", interface, OURS[found.version], through)


def listing(configuration: Configuration, *prefixes: str) -> Configuration:
    """The configuration with a list in force that has these."""
    bad = StoredList("bad", entries(*prefixes), len(prefixes), 0, "", 0.0, "bad.txt")
    return replace(configuration, lists={"bad": bad})


def found(configuration: Configuration, *ends: FarEnd) -> list[tuple[str, str | None, str]]:
    """Who would be cut off, by which policy, and by which setting's file."""
    return [(str(cut.end.address), cut.rule.policy, str(cut.rule.origin)) for cut in cuts(configuration, ends, NOW)]


@pytest.mark.parametrize("address", ["198.51.100.9", "2001:db8:d::9"])
def test_who_works_from_upstream_with_an_address_of_a_pool_is_taken_for_forged(address: str) -> None:
    assert found(loaded(spoof=SPOOF), end(address)) == [(address, "spoof", "rules.d/spoof.yaml:1")]
    assert not found(loaded(spoof=SPOOF + "multihomed: [198.51.100.0/28, '2001:db8:d::/64']\n"), end(address))
    assert not found(loaded(spoof=SPOOF + "mode: observe\n"), end(address))
    assert not found(loaded(spoof=SPOOF + "mode: off\n"), end(address))


def test_who_works_from_the_access_side_needs_an_address_of_a_pool() -> None:
    configuration = loaded(spoof=SPOOF)
    assert found(configuration, end("10.9.0.7", "lan0"))
    assert not found(configuration, end("203.0.113.9", "lan0")), "an operator at home is a subscriber like others"
    assert not found(configuration, end("10.9.0.7", "mgmt0")), "no policy looks at a third interface"
    assert not found(configuration, end("10.9.0.7", "wan0"))


def test_answers_of_what_is_managed_through_the_gateway_are_asked_for_as_well() -> None:
    """A RADIUS server on a network of its own behind the access side: nothing of it but its answers is stopped."""
    login, server = end("192.0.2.77"), end("10.20.0.5", "lan0", Role.ACCOUNTS)
    (cut,) = cuts(loaded(spoof=SPOOF), (login, server), NOW)
    assert (cut.end, cut.step.packet.source, cut.step.packet.source_port) == (login, server.address, 22)
    assert not found(loaded(spoof=SPOOF), server), "the gateway's own talks with it pass no policy"
    assert not found(loaded(spoof=SPOOF), login, replace(server, interface="wan0"))


@pytest.mark.parametrize("address", ["203.0.113.53", "2001:db8:d::53"])
@pytest.mark.parametrize(("policy", "is_cut"), [(IP53B, True), ("policy: ip53b\n", False), (IP53B + "pools: [static]\n", False)])
def test_a_resolver_among_subscribers_needs_port_53(address: str, policy: str, *, is_cut: bool) -> None:
    resolver = end(address, "lan0", Role.RESOLVER)
    assert [cut[1] for cut in found(loaded(ip53b=policy), resolver)] == (["ip53b"] if is_cut else [])
    allowed = loaded(EDGED + f"never_block: ['{address}']\n", ip53b=policy)
    # towards who is never blocked is its far end's direction, which for a resolver among subscribers is none
    assert bool(found(allowed, resolver)) is is_cut
    assert not found(loaded(ip53b=policy + "exempt: {subscribers: [" + exemption(address) + "]}\n"), resolver)


def exemption(address: str) -> str:
    return f"{{prefix: '{address}', until: 2027-06-01, owner: noc, reason: resolver}}"


@pytest.mark.parametrize("role", [Role.LOGIN, Role.MONITORING, Role.RESOLVER])
def test_a_list_in_force_cuts_off_who_needs_to_get_through(role: Role) -> None:
    named = end("192.0.2.77", role=role)
    listed = listing(loaded(blocklist=BLOCKLIST), "192.0.2.64/26")
    assert [cut[:2] for cut in found(listed, named)] == [("192.0.2.77", "blocklist")]
    assert not found(listing(loaded(blocklist=BLOCKLIST + "allow: [192.0.2.77]\n"), "192.0.2.64/26"), named)
    assert not found(listing(loaded(EDGED + "never_block: [192.0.2.77]\n", blocklist=BLOCKLIST), "192.0.2.64/26"), named)
    assert not found(listing(loaded(blocklist=BLOCKLIST), "192.0.2.0/26"), named)


@pytest.mark.parametrize(
    ("login", "interface", "policy", "is_cut"),
    [
        ("192.0.2.77 4000 10.20.0.5 22", "wan0", SPOOF, True),
        ("192.0.2.77 4000 198.51.100.5 22", "wan0", SPOOF, False),
        ("198.51.100.5 4000 192.0.2.77 25", "lan0", "policy: op25b\npools: [static]\n", True),
        ("198.51.100.5 4000 192.0.2.77 22", "lan0", "policy: op25b\npools: [static]\n", False),
    ],
)
def test_a_login_whose_server_is_behind_the_gateway(login: str, interface: str, policy: str, *, is_cut: bool) -> None:
    peer, peer_port, server, port = login.split()
    through = Login(ip_address(peer), int(peer_port), ip_address(server), int(port))
    assert bool(found(loaded(policy=policy), end(peer, interface, through=through))) is is_cut


def test_the_shipped_policies_cut_nobody_off_who_is_where_he_should_be() -> None:
    policies = loaded(spoof=SPOOF, ip53b="policy: ip53b\n", op25b="policy: op25b\n", blocklist=BLOCKLIST)
    configuration = listing(policies, "192.0.2.128/25")
    ends = [end("192.0.2.77", role=role) for role in Role]
    ends += [end("203.0.113.9", "lan0", role) for role in (Role.LOGIN, Role.MONITORING, Role.RESOLVER)]
    ends += [end("2001:db8:ffff::1", role=role) for role in Role]
    assert not found(configuration, *ends)


@pytest.mark.parametrize("hook", ["input", "output", "prerouting", "postrouting"])
def test_a_policy_on_the_gateways_own_packets_is_asked_as_well(monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    """No policy of today has one; one that comes must not be passed over."""
    chain = Chain("own", (Rule("own.drop", then=Drop(), policy="tomorrow"),), Hook(hook))
    monkeypatch.setattr(Configuration, "table", lambda _self, _now: Table(chains=(chain,)))
    ends = [end("192.0.2.77", role=role) for role in Role]
    assert {cut.end.role for cut in cuts(loaded(spoof=SPOOF), ends, NOW)} == set(Role)


def test_a_refusal_says_who_by_what_where_and_how_to_go_on() -> None:
    with pytest.raises(Refused) as refused:
        refuse_cuts(loaded(spoof=SPOOF), (end("198.51.100.9"), end("192.0.2.77")), NOW)
    assert refused.value.exit_code is ExitCode.REFUSED
    told, override = str(refused.value).splitlines()
    assert told.startswith(
        "rules.d/spoof.yaml:1: policy spoof would cut off 198.51.100.9 (an operator's login, as a test says): "
        "it would stop TCP from 198.51.100.9 to 203.0.113.0, port 49152 to port 22, through this gateway; "
    )
    assert "`multihomed` of spoof" in told
    assert "edged apply --despite-guards" in override


def test_nothing_is_refused_where_nobody_is_cut_off_or_it_was_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = loaded(spoof=SPOOF)
    refuse_cuts(configuration, (end("192.0.2.77"),), NOW)
    unguarded(configuration)
    monkeypatch.setattr(guard, "evaluate", None)
    refuse_cuts(configuration, (), NOW)
