"""Each fuzz target over its seeds, former finds and mutations of both; `EDGED_PROFILE=long` searches by atheris besides."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import time

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.target import found, names, target
from tests.promises import PROMISES, Measured

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
SHORT, LONG = 0.3, 8.0  # seconds of a target
SEARCH = 8  # seconds of atheris
# milliseconds of this thread's own time; a guard against what never ends, the promise's figure is measured on packets alone
ONE_INPUT = 2_000.0


def harness(number: int) -> list[object]:
    """The targets of one promise."""
    assert number in PROMISES
    return [pytest.param(name, id=name) for name in names() if target(name).promise == number]


def tried(name: str, measured: Measured) -> None:
    chosen = target(name)
    inputs = (*chosen.seeds, *found(name))
    chance, times = random.Random(name), []
    for data in inputs:
        chosen.run(data)
    until = time.thread_time() + (LONG if IS_LONG else SHORT)
    while time.thread_time() < until:
        data = mutated(chance, chance.choice(inputs), chance.choice(inputs))
        began = time.thread_time_ns()
        chosen.run(data)
        times.append((time.thread_time_ns() - began) / 1e6)
    times.sort()
    assert times[-1] < ONE_INPUT
    assert times[int(len(times) * 0.999)] < chosen.p999
    measured(f"{name}: 0 exceptions in {len(times):,} inputs, p99.9 {times[int(len(times) * 0.999)]:.2f} ms")


@pytest.mark.promise(10)
@pytest.mark.parametrize("name", harness(10))
def test_a_parser_of_packets_answers(name: str, measured: Measured) -> None:
    tried(name, measured)


@pytest.mark.promise(11)
@pytest.mark.parametrize("name", harness(11))
def test_a_parser_of_files_and_requests_answers(name: str, measured: Measured) -> None:
    tried(name, measured)


@pytest.mark.skipif(not IS_LONG, reason="a search takes its time: EDGED_PROFILE=long")
@pytest.mark.parametrize("name", names())
def test_a_search_by_atheris_finds_nothing(name: str) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: ./bootstrap fuzz")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, str(SEARCH)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
