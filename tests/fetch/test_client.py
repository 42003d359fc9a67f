"""The process that downloads, seen from the daemon: it ends with the wait for it, and is believed nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edged.fetch import client
from edged.fetch.client import Fetched, FetchFailed, Request, fetch
from edged.fetch.messages import Order, line_of, order_of, understood
from tests.fetch.authority import Authority
from tests.fetch.conftest import Fetching
from tests.fetch.processes import children, until
from tests.fetch.server import Server, content, trickle

Meanwhile = Callable[["asyncio.Task[object]", int], Awaitable[None]]


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    assert children() == []
    yield
    assert children() == []


@pytest.fixture
def during(server: Server, authority: Authority, tmp_path: Path) -> Callable[[Meanwhile], None]:
    """Fetches what comes a byte at a time, and does something to the task or to its process meanwhile."""

    async def scene(meanwhile: Meanwhile) -> None:
        server.pages["/list"] = trickle
        with (tmp_path / "fetched").open("wb") as into:
            task = asyncio.create_task(fetch(Request(server.url(), ca=authority.pem, seconds=10), into))
            await until(lambda: server.asked)
            (pid,) = children()
            await meanwhile(task, pid)
            assert children() == []

    return lambda meanwhile: asyncio.run(scene(meanwhile))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a shell script run in place of the process that downloads; "$5" is the descriptor of the file."""

    def replace(script: str) -> None:
        path = tmp_path / "stand-in"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return replace


def test_cancelling_ends_the_process(during: Callable[[Meanwhile], None]) -> None:
    async def cancel(task: asyncio.Task[object], pid: int) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    during(cancel)


def test_cancelling_ends_a_process_that_does_not_listen(during: Callable[[Meanwhile], None]) -> None:
    async def cancel(task: asyncio.Task[object], pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    during(cancel)


def test_cancelling_twice_ends_the_process_too(during: Callable[[Meanwhile], None]) -> None:
    async def cancel(task: asyncio.Task[object], pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not children())

    during(cancel)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_is_a_failure(during: Callable[[Meanwhile], None], number: signal.Signals) -> None:
    async def kill(task: asyncio.Task[object], pid: int) -> None:
        os.kill(pid, number)
        with pytest.raises(FetchFailed, match=f"was ended by {number.name} before it was done"):
            await task

    during(kill)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec cat", "says what is no answer"),  # the order itself
        ("echo garbage", "says what is no answer"),
        ("exit 0", "says what is no answer"),
        ("printf '\\377\\n'", "says what is no answer"),
        ("""printf '{"Fetched": {"etag": 1, "last_modified": "", "size": 0}}'""", "says what is no answer"),
        ("head -c 15000 /dev/zero | tr '\\0' '['", "says what is no answer"),
        ("exec yes", "says more than an answer"),
        ("yes >&2 & sleep 0.1; kill $!; exit 3", r"ended with exit status 3 before it was done: y$"),
        ("echo 'No module named edged' >&2; exit 1", r"exit status 1 before it was done: No module named edged$"),
        ("kill -ABRT $$", "was ended by SIGABRT before it was done$"),
        ("""printf '{"Unchanged": {}}'; exit 1""", "exit status 1"),
        ("""printf '{"Fetched": {"etag": "", "last_modified": "", "size": 5}}'""", "speaks of 5 bytes"),
        (
            """printf 123456 >/dev/fd/$5; printf '{"Fetched": {"etag": "", "last_modified": "", "size": 5}}'""",
            "speaks of 5 bytes",
        ),
        (
            """printf 12345678901 >/dev/fd/$5; printf '{"Fetched": {"etag": "", "last_modified": "", "size": 11}}'""",
            "of 11 bytes",
        ),
        ("""printf '{"Failure": {"text": "red \\\\u001b[31m"}}'""", re.escape("used: red ?[31m")),
    ],
)
def test_a_process_that_lies_or_dies_is_a_failure(
    stand_in: Callable[[str], None], fetching: Fetching, script: str, said: str
) -> None:
    stand_in(script)
    with pytest.raises(FetchFailed, match=said) as failed:
        fetching("https://lists.example/list?key=hush", largest=10)
    assert "hush" not in str(failed.value)


def test_a_process_that_hangs_is_ended(
    stand_in: Callable[[str], None], fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "GRACE", 0.2)
    monkeypatch.setattr(client, "_TERMINATING", 0.2)
    stand_in("trap '' TERM; exec sleep 60")
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=r"it took longer than 0\.2 s; look whether this machine's resolver answers"):
        fetching("https://lists.example/list", seconds=0.2)
    assert time.monotonic() - began < 3


def test_an_interpreter_that_is_gone_is_a_failure(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    with pytest.raises(FetchFailed, match=r"no process can be started: .*No such file"):
        fetching("https://lists.example/list")


def test_a_descriptor_will_do_for_a_file(server: Server, authority: Authority, tmp_path: Path) -> None:
    server.pages["/list"] = content(b"1")
    descriptor = os.open(tmp_path / "fetched", os.O_WRONLY | os.O_CREAT)
    try:
        assert asyncio.run(fetch(Request(server.url(), ca=authority.pem), descriptor)) == Fetched("", "", 1)
    finally:
        os.close(descriptor)


def test_a_file_that_takes_nothing_is_a_failure(server: Server, authority: Authority) -> None:
    server.pages["/list"] = content(b"1")
    with Path("/dev/full").open("wb") as into, pytest.raises(FetchFailed, match="cannot be stored: No space left on device"):
        asyncio.run(fetch(Request(server.url(), ca=authority.pem), into))


def test_orders_and_answers_arrive_as_they_were_sent() -> None:
    order = Order("https://é/", '"\x7f"', "", 3, 0.5, "PEM\n")
    assert order_of(order.line()) == order
    for answer in (Fetched('W/"ü"', "x", 2**40), client.Unchanged()):
        assert understood(line_of(answer)) == answer
