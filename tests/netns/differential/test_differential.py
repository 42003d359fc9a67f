"""Model against kernel: hypothesis draws policies and packets; verdict, every rule that matched, and counters must agree.

The short profile compares some 3,000 pairs, the same ones each time; `EDGED_PROFILE=long` at least 100,000 new ones (promise 12).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from edged.enforce import enforce
from edged.policies import Blocklist, Op25b
from edged.ruleset.evaluate import evaluate
from edged.ruleset.plan import Desired
from tests.gateway import IPV4, IPV6, NOW, SITE, make, table_of
from tests.netns.differential import trial as trials_of
from tests.netns.differential.conntrack import NEW, Conntrack
from tests.netns.differential.draw import Trial, trials
from tests.netns.differential.shots import Shot, Tcp, Udp
from tests.netns.differential.trial import Score, run
from tests.netns.differential.world import World
from tests.promises import Measured
from tests.strategies import Drawn

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
# How many trials of about 36 pairs, and how many pairs those must come to: by edged's encoder, and by nft from the rendered text
TRIALS = {"encoder": (2_400, 84_000), "nft": (480, 16_000)} if IS_LONG else {"encoder": (60, 2_000), "nft": (20, 600)}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One router for all trials; sent by one CPU, packets pass it in order."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    with World() as made:
        yield made
    os.sched_setaffinity(0, before)


@pytest.mark.promise(12)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("writer", TRIALS)
def test_the_model_and_the_kernel_agree(
    world: World, writer: str, capsys: pytest.CaptureFixture[str], measured: Measured
) -> None:
    count, enough = TRIALS[writer]
    score = Score()

    @settings(max_examples=count, phases=(Phase.generate, Phase.shrink), database=None)
    @given(trials())
    def agree(one: Trial) -> None:
        run(world, one, score, by_nft=writer == "nft")

    agree()
    with capsys.disabled():
        print(f"\n  written by {writer}: {score}")
    measured(f"written by {writer}: {score.pairs:,} pairs of policy set and packet in {score.trials:,} trials, 0 differences")
    assert score.pairs >= enough
    stopped = score.outcomes["drop"] + score.outcomes["reject"]
    assert stopped > score.pairs / 20, "a run that stops next to nothing proves next to nothing"
    assert score.marked
    assert score.kept
    assert set(+score.answers) == {"a reset", "an ICMP error"}


def test_a_difference_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells the model of one exempt mail server that the kernel does not have."""
    drawn = Drawn(SITE, (make(Op25b),))
    told = table_of([make(Op25b, exempt={"destinations": ["192.0.2.200"]})])
    volley = (Shot(4, "lan0", "wan0", IPV4.dynamic, IPV4.outside, Tcp(20004, 25)),)
    run(world, Trial(drawn, volley), Score(), by_nft=False)
    monkeypatch.setattr(trials_of, "evaluate", lambda _table, packet, flow, now: evaluate(told, packet, flow, now))
    with pytest.raises(AssertionError) as found:
        run(world, Trial(drawn, volley), Score(), by_nft=False)
    for difference in (
        "rules that matched",
        "the model says accept, in the kernel it left by nowhere",
        "a reset came",
        "named counters",
    ):
        assert difference in str(found.value)


def test_a_difference_in_marks_and_icmp_errors_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells the model of a list that never came."""
    drawn = Drawn(SITE, (make(Blocklist, action="reject"),))
    told = table_of([make(Blocklist, lists=[{"name": "never", "path": "never.txt"}])])
    volley = (
        Shot(4, "lan0", "wan0", IPV6.dynamic, IPV6.outside, Udp(20004, 443)),
        Shot(8, "lan0", "wan0", IPV4.dynamic, IPV4.server, Udp(20008, 443)),
    )
    score = Score()
    run(world, Trial(drawn, volley), score, by_nft=False)
    assert (score.marked, score.answers["an ICMP error"]) == (1, 1)
    monkeypatch.setattr(trials_of, "evaluate", lambda _table, packet, flow, now: evaluate(told, packet, flow, now))
    with pytest.raises(AssertionError) as found:
        run(world, Trial(drawn, volley), Score(), by_nft=False)
    for difference in (
        "the model says accept, and an ICMP error came: True",
        "connections' marks: the model says {}, the kernel {(",
    ):
        assert difference in str(found.value)


def test_a_wrong_prediction_of_conntrack_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    volley = (Shot(4, "wan0", "lan0", IPV6.outside, IPV6.dynamic, Udp(53, 20004), tracked=False),)
    monkeypatch.setattr(Conntrack, "arrives", lambda _self, _shot: NEW)
    with pytest.raises(AssertionError, match=r"predicted to be \['new', 'original'\], conntrack says \['untracked'\]"):
        run(world, Trial(Drawn(SITE, (make(Op25b),)), volley), Score(), by_nft=False)


def test_a_lone_fragment_is_refused_by_the_model_and_counted(world: World) -> None:
    """A first fragment of IPv6 that ends within the TCP header passes Linux's reassembly as it is; its ports are there."""
    score = Score()
    volley = (Shot(4, "lan0", "wan0", IPV6.dynamic, IPV6.outside, Tcp(20004, 25), cuts=(8,)),)
    run(world, Trial(Drawn(SITE, (make(Op25b),)), volley), score, by_nft=False)
    assert (score.pairs, score.refused) == (0, 1)
    enforce(world.kernel, Desired(table_of([make(Op25b)])), lambda: NOW)
    seen = world.fire(volley, "edged").shots[4]
    assert not seen.left_by, "the kernel stops it nevertheless"
