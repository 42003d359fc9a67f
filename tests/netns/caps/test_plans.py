"""A changed plan holds for the flows that are under way."""

from __future__ import annotations

import time

import pytest

from edged.addresses import Family
from tests.netns.bulk import transfers
from tests.netns.caps.gateway import IS_LONG, Plan, Settings, caps_gateway
from tests.netns.caps.held import PEER_HANDSHAKE, WITHIN, arrivals, is_leased, is_policed, megabits, megabits_once_heavy

PLANS = [Plan("ten", 10_000, 10_000), Plan("forty", 40_000, 40_000), Plan("free", 0, 0)]
SECONDS = 1.0
UNHELD = 100  # Mbit/s: more than any plan here gives, and less than two loaded cores carry


@pytest.mark.parametrize("pool", [32, 0] if IS_LONG else [32], ids=lambda pool: "lease" if pool else "police")
def test_a_changed_plan_takes_effect_on_a_live_flow(pool: int) -> None:
    """G-8: the cap is the subscriber's, by its plan of now; the same connection goes at one rate, at another, and free."""
    with caps_gateway(Settings(PLANS, pool=pool), ["ten"]) as gateway:
        gateway.limit_segments(8)
        way = ((gateway.topology.web, gateway.subscribers[0].host), Family.IPV4)
        with arrivals([way]) as arrived, transfers([way], PEER_HANDSHAKE):
            (ten,) = megabits_once_heavy(arrived, SECONDS)
            gateway.give_plan(0, "forty")
            gateway.reload()
            time.sleep(WITHIN)
            (forty,) = megabits(arrived, SECONDS)
            gateway.give_plan(0, "free")
            gateway.reload()
            time.sleep(WITHIN)
            (free,) = megabits(arrived, 0.5)
    told = f"{ten:.2f} of 10, {forty:.2f} of 40, free {free:.0f}"
    print(told)
    assert free > UNHELD, told
    for got, rate in ((ten, 10), (forty, 40)):
        assert is_leased(got, rate) if pool else is_policed(got, rate, SECONDS), told
