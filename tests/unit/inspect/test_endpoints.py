"""The memory of endpoints: how long it knows one, and which goes first when it is full."""

from __future__ import annotations

from edged.inspect.endpoints import LIFETIME, MOST, Endpoints
from edged.inspect.sight import Endpoint

SECOND = 1_000_000_000


def peer(number: int, *, port: int = 6881) -> Endpoint:
    return Endpoint(is_ipv6=False, address=0x0A000000 + number, port=port)


def test_an_endpoint_is_known_for_ten_minutes_and_no_longer() -> None:
    memory = Endpoints()
    memory.learn(5, [peer(1)])
    assert LIFETIME == 600 * SECOND
    assert memory.knows(5, peer(1))
    assert memory.knows(5 + LIFETIME - 1, peer(1))
    assert not memory.knows(5 + LIFETIME, peer(1))
    assert len(memory) == 0


def test_only_what_was_said_is_known() -> None:
    memory = Endpoints()
    memory.learn(0, [peer(1)])
    assert not memory.knows(0, peer(2))
    assert not memory.knows(0, peer(1, port=6882))
    assert not memory.knows(0, Endpoint(is_ipv6=True, address=peer(1).address, port=6881))


def test_hearing_of_a_peer_again_keeps_it_and_asking_does_not() -> None:
    memory = Endpoints()
    memory.learn(0, [peer(1), peer(2)])
    memory.learn(LIFETIME - 1, [peer(1)])
    assert memory.knows(LIFETIME - 1, peer(2))
    assert memory.knows(LIFETIME + 1, peer(1))
    assert not memory.knows(LIFETIME + 1, peer(2))


def test_at_the_bound_the_least_recently_used_goes() -> None:
    memory = Endpoints(most=3)
    memory.learn(0, [peer(1), peer(2), peer(3)])
    assert memory.knows(1, peer(1))
    memory.learn(2, [peer(4)])
    assert [memory.knows(3, peer(number)) for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_a_flood_of_endpoints_does_not_pass_the_bound() -> None:
    memory = Endpoints()
    memory.learn(0, (peer(number) for number in range(MOST + 5_000)))
    assert len(memory) == MOST == 65_536
    assert memory.knows(1, peer(MOST + 4_999))
    assert not memory.knows(1, peer(4_999))
