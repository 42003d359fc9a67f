"""The one place where commands get at the kernel: tests put fakes here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.kernel import Kernel
    from edged.kernel.tc import TrafficControl


def make_kernel() -> Kernel:
    """The kernel of the present network namespace. Raises KernelError."""
    from edged.kernel.linux import LinuxKernel

    return LinuxKernel()


def make_traffic_control() -> TrafficControl:
    """The queueing of the present network namespace. Raises KernelError."""
    from edged.kernel.tc import LinuxTrafficControl

    return LinuxTrafficControl()


@contextmanager
def open_kernel() -> Iterator[Kernel]:
    """The kernel for as long as a command looks at it; what is in it stays as it is."""
    kernel = make_kernel()
    try:
        yield kernel
    finally:
        kernel.close()


@contextmanager
def open_traffic_control() -> Iterator[TrafficControl]:
    """The queueing for as long as a command looks at it; what is in the kernel stays as it is."""
    traffic = make_traffic_control()
    try:
        yield traffic
    finally:
        traffic.close()
