"""One emulated machine, from its start to its end: qemu without any disk, its outputs on sockets, a time limit over all."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from initramfs import ERROR_PORT, OUTPUT_PORT, STATUS_PORT
from kernel_image import KernelImage

KERNEL_ARGUMENTS = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr"
SHUTDOWN_SECONDS = 5


class MachineFailedError(Exception):
    """The machine ended without running the command to its end; the text has the last lines of its console."""


class TimeLimitError(Exception):
    """The command was not done within its time limit."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the machine has: memory in MiB, processors."""

    memory: int
    processors: int


def run(image: KernelImage, initramfs: bytes, size: Size, seconds: float, output: IO[bytes], errors: IO[bytes]) -> int:
    """Boots, copies what the command writes as it comes, and returns its exit status. No process outlives the call."""
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(tempfile.NamedTemporaryFile(prefix="stock_kernel."))
        archive.write(initramfs)
        archive.flush()
        pairs = {number: socket.socketpair() for number in (OUTPUT_PORT, ERROR_PORT, STATUS_PORT)}
        ends = {number: far.fileno() for number, (_, far) in pairs.items()}
        qemu = stack.enter_context(_started(_arguments(image, archive.name, size, ends), ends))
        for near, far in pairs.values():
            far.close()
            stack.callback(near.close)
        assert qemu.stdout is not None
        collected = _copy({number: near for number, (near, _) in pairs.items()}, qemu.stdout, seconds, output, errors)
    status = collected.status.strip()
    if not status:
        tail = "\n".join(collected.console.decode(errors="replace").splitlines()[-25:])
        raise MachineFailedError(f"the machine ended without a result; its console's last lines:\n{tail}")
    return int(status)


def _arguments(image: KernelImage, initramfs: str, size: Size, ends: dict[int, int]) -> list[str]:
    """qemu's command line.

    TCG, so that it runs alike everywhere, also where KVM is there and broken. Nehalem is x86-64-v2, all that wheels ask for, and
    15 % faster to emulate than `max`; RDRAND feeds the random pool at once.
    """
    ports = [
        word
        for number, descriptor in ends.items()
        for word in (
            "-chardev", f"socket,id=port{number},fd={descriptor}",
            "-device", f"virtserialport,bus=serial.0,nr={number},chardev=port{number}",
        )
    ]  # fmt: skip
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem,+rdrand",
        "-smp", str(size.processors), "-m", f"{size.memory}M",
        "-kernel", str(image.vmlinuz), "-initrd", initramfs, "-append", KERNEL_ARGUMENTS,
        "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        "-device", "virtio-serial-pci,id=serial", *ports,
    ]  # fmt: skip


@contextlib.contextmanager
def _started(arguments: list[str], ends: dict[int, int]) -> Iterator[subprocess.Popen[bytes]]:
    """A running qemu that is dead and reaped afterwards, also if this process is killed."""
    qemu = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(ends.values()),
        start_new_session=True,  # an interrupt at the terminal is ours to handle
    )
    try:
        yield qemu
    finally:
        qemu.kill()
        qemu.wait()


@dataclass(slots=True)
class _Collected:
    status: bytes = b""
    console: bytes = b""


def _copy(
    ports: dict[int, socket.socket], console: IO[bytes], seconds: float, output: IO[bytes], errors: IO[bytes]
) -> _Collected:
    """Copies until qemu ends, or shortly after the status came."""
    collected = _Collected()
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for number, near in ports.items():
            selector.register(near, selectors.EVENT_READ, number)
        selector.register(console, selectors.EVENT_READ, 0)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == OUTPUT_PORT:
                    output.write(data)
                    output.flush()
                elif key.data == ERROR_PORT:
                    errors.write(data)
                    errors.flush()
                elif key.data == STATUS_PORT:
                    collected.status += data
                    deadline = time.monotonic() + SHUTDOWN_SECONDS
                else:
                    collected.console = (collected.console + data)[-65536:]
            if time.monotonic() >= deadline:
                if collected.status:
                    break
                raise TimeLimitError(f"not done after {seconds:.0f} s; the machine was stopped")
    return collected


def end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end this process by way of its `finally` clauses."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
