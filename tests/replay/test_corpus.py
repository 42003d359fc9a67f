"""Both engines over real captures: the model is the kernel, packet by packet.

The captures are labelled ones of other projects and not a part of this one: `EDGED_CORPUS` names their place (by default a
folder beside the checkout), and without them these tests say so.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.lists.offline import in_force
from edged.loader import Configuration, load
from edged.replay.kernel import KernelEngine
from edged.replay.model import Model
from edged.replay.report import Summary
from edged.replay.run import Replay
from edged.replay.sides import Sides
from edged.replay.verdict import Judged, Verdict
from tests.tiers import missing_for_namespaces, require

CORPUS = Path(os.environ.get("EDGED_CORPUS") or Path(__file__).parents[3] / "shared/corpus")
NOW = 1_800_000_000

# The captures are of home and office networks: most of their hosts are in these, and some of what they talk to is listed.
POLICY = {
    "edged.yaml": """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "2001::/16", "fd00::/8"]
  static: [192.168.1.0/24, 10.10.0.0/16]
never_block: [8.8.8.8]
state: state
""",
    "rules.d/10-blocklist.yaml": "policy: blocklist\nlists: [{name: some, path: some.txt}]\nallow: [64.0.0.0/6]\n",
    "rules.d/20-op25b.yaml": "policy: op25b\nscope: all\n",
    "rules.d/30-ip53b.yaml": "policy: ip53b\nscope: all\n",
    "rules.d/40-spoof.yaml": "policy: spoof\n",
    # a quarter of IPv4, in /8, beside it a single address, and some of IPv6
    "some.txt": "".join(f"{n}.0.0.0/8\n" for n in range(18, 224) if n % 8 in (2, 3) and n not in (170, 171, 172, 192))
    + "185.13.160.61\n2a00::/19\n2a03:2880::/32\n",
}


@pytest.fixture(scope="module")
def captures() -> list[Path]:
    found = sorted(path for path in (CORPUS / "dev/pcap").glob("*") if path.is_file()) if CORPUS.is_dir() else []
    if not found:
        pytest.skip(f"no captures in {CORPUS}: set EDGED_CORPUS to their place")
    return found


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "rules.d").mkdir()
    for name, content in POLICY.items():
        (folder / name).write_text(content)
    found = in_force(load(folder / "edged.yaml", now=datetime.fromtimestamp(NOW, UTC)))
    assert set(found.lists) == {"some"}
    return found


def judged_by(engine: Model | KernelEngine, configuration: Configuration, captures: list[Path]) -> list[Judged]:
    found: list[Judged] = []
    replay = Replay(engine, Sides(configuration.site()).of_sender)
    for path in captures:
        replay.run(path, Summary("", []), [found.append])
    return found


def test_the_model_says_of_every_packet_what_the_kernel_does(captures: list[Path], configuration: Configuration) -> None:
    if reason := missing_for_namespaces():
        require("netns", reason)
    table, site = configuration.table(NOW), configuration.site()
    modelled = judged_by(Model(table, site), configuration, captures)
    with KernelEngine(table, site) as kernel:
        real = judged_by(kernel, configuration, captures)
    assert len(modelled) == len(real) > 30_000
    different = [
        (one.arrival[:3], one.judgement, other.judgement) for one, other in zip(modelled, real, strict=True) if one != other
    ]
    assert not different, f"{len(different)} of {len(real)}, the first: {different[:5]}"
    verdicts = Counter(judged.judgement[:2] for judged in real)
    by_policy = {policy for _, policy in verdicts if policy}
    assert by_policy >= {"blocklist", "op25b", "ip53b"}, verdicts
    stopped = sum(count for (verdict, policy), count in verdicts.items() if verdict is not Verdict.ACCEPT and policy)
    assert stopped > 0.1 * len(real), verdicts


def test_two_runs_say_the_same(captures: list[Path], configuration: Configuration) -> None:
    table, site = configuration.table(NOW), configuration.site()
    runs = [judged_by(Model(table, site), configuration, captures[:100]) for _ in range(2)]
    assert runs[0] == runs[1]
