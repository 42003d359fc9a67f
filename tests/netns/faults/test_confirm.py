"""A change that nobody confirms is taken back in time, whoever dies meanwhile and whatever the wall clock says."""

from __future__ import annotations

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import pytest

from tests.netns.faults.windows import LATEST, Befalls, Window, late
from tests.promises import Measured

ALL = (
    Window(has_daemon=True, befalls=Befalls.DAEMON),
    Window(has_daemon=True, befalls=Befalls.CLOCK),
    Window(has_daemon=False, befalls=Befalls.TERMINAL),
    Window(has_daemon=False, befalls=Befalls.CLOCK),
    Window(has_daemon=True, befalls=Befalls.TERMINAL),
    Window(has_daemon=False, befalls=Befalls.ANOTHER),
    Window(has_daemon=True, befalls=Befalls.ANOTHER),
)
RUNS = 50 if os.environ.get("EDGED_PROFILE") == "long" else 4


@pytest.mark.timeout(900)
@pytest.mark.promise(8)
def test_what_nobody_confirms_is_taken_back_in_time(measured: Measured) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    runs = list(islice(cycle(ALL), RUNS))
    with ThreadPoolExecutor(4) as at_once:
        lateness = list(at_once.map(late, runs, range(seed, seed + RUNS)))
    assert max(lateness) <= LATEST
    befell = ", ".join(f"{count} where {each.value}" for each, count in Counter(run.befalls for run in runs).items())
    measured(f"{RUNS} of {RUNS} taken back, the latest {max(lateness):.2f} s after its time ({befell})")
