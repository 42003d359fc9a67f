"""Fetching from the daemon's side: a process is started for each download, bounded, and never outlives the wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from typing import BinaryIO

from edged.fetch.messages import Answer, Failure, Fetched, FetchFailed, Order, Request, Unchanged, shown, understood

__all__ = ["Answer", "FetchFailed", "Fetched", "Request", "Unchanged", "fetch"]

GRACE = 5.0  # seconds past the request's own: to start, and to say why it failed
_TERMINATING = 1.0  # seconds between SIGTERM and SIGKILL
_LONGEST_ANSWER = 16 * 1024
_LARGEST_AUTHORITIES = 1024 * 1024
# Operators reach the world through proxies, and have authorities of their own; nothing else of the daemon's concerns a download.
_KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")


async def fetch(request: Request, into: BinaryIO | int) -> Answer:
    """Fetches what the request names into an empty, open file, in an unprivileged process that has ended when this returns.

    Raises FetchFailed; the file is to be thrown away then. Cancelling it ends the process.
    """
    descriptor = into if isinstance(into, int) else into.fileno()
    order = Order(request.url, request.etag, request.last_modified, request.largest, request.seconds, _authorities(request))
    try:
        process = await _start(descriptor)
    except OSError as failed:
        raise _failed(request, f"no process can be started: {failed}") from failed
    try:
        async with asyncio.timeout(request.seconds + GRACE):
            answer = await _converse(process, order)
    except TimeoutError:
        late = f"it took longer than {request.seconds:g} s; look whether this machine's resolver answers, or try again later"
        raise _failed(request, late) from None
    finally:
        await _end(process)
    match answer:
        case Failure(text):
            raise _failed(request, text)
        case Fetched(size=size) if size > request.largest or size != os.fstat(descriptor).st_size:
            raise _failed(request, f"the process that downloads speaks of {size} bytes, which the file does not hold")
        case _:
            return answer


def _failed(request: Request, reason: str) -> FetchFailed:
    return FetchFailed(f"cannot fetch {shown(request.url)}, and nothing of it is used: {reason}")


def _authorities(request: Request) -> str:
    """The PEM file's text: the process itself may not be able to read it."""
    if request.ca is None:
        return ""
    try:
        # what is no ASCII is somebody's comment
        with request.ca.open(encoding="ascii", errors="ignore") as opened:
            text = opened.read(_LARGEST_AUTHORITIES + 1)
    except OSError as failed:
        raise _failed(request, f"the authorities to trust cannot be read: {failed}") from failed
    if len(text) > _LARGEST_AUTHORITIES or not text.strip():
        raise _failed(request, f"{request.ca} holds no certificates in PEM, or more than 1 MiB; look at it")
    return text


async def _start(descriptor: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-B",  # under this umask the daemon could not read what root's process compiled
        "-m",
        "edged.fetch",
        str(descriptor),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=(descriptor,),
        env=_environment(os.environ),
        cwd="/",
        umask=0o077,
        start_new_session=True,
    )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _KEPT if name in environment}


async def _converse(process: Process, order: Order) -> Answer | Failure:
    """Gives the order and takes the answer of a process that is not to be believed."""
    said, complaint, _ = await asyncio.gather(_answer(process), _last_line(process), _give(process, order))
    if len(said) > _LONGEST_ANSWER:
        return Failure("the process that downloads says more than an answer; please report it")
    status = await process.wait()
    if status != 0:
        return Failure(f"the process that downloads {_ended(status)} before it was done{complaint}")
    try:
        return understood(said)
    except (ValueError, RecursionError):
        return Failure("the process that downloads says what is no answer; please report it")


async def _give(process: Process, order: Order) -> None:
    assert process.stdin is not None  # noqa: S101  for mypy: it is a pipe
    # a process that is gone already has an exit status, which says more
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(order.line())
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _answer(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101  for mypy: it is a pipe
    said = b""
    while len(said) <= _LONGEST_ANSWER and (block := await process.stdout.read(_LONGEST_ANSWER)):
        said += block
    if len(said) > _LONGEST_ANSWER:
        # it may wait for ever to say the rest
        process.kill()
        # a pipe that is not read to its end stays open, also when the process is gone
        while await process.stdout.read(_LONGEST_ANSWER):
            pass
    return said


async def _last_line(process: Process) -> str:
    """The last that it says on stderr: what stops the interpreter itself, before there is a URL to betray."""
    assert process.stderr is not None  # noqa: S101  for mypy: it is a pipe
    tail = b""
    while block := await process.stderr.read(4096):
        tail = (tail + block)[-1000:]
    lines = tail.decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f": {''.join(each for each in last if each.isprintable())[-200:]}" if last else ""


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


async def _end(process: Process) -> None:
    """Ends the process, if it has not ended, and reaps it."""
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(_TERMINATING):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        # also where this wait is cancelled too; the loop's watcher reaps it then
        if process.returncode is None:
            process.kill()
    await process.wait()
