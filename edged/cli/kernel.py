"""The one place where commands get at the kernel: tests put a FakeKernel here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edged.kernel import Kernel


def make_kernel() -> Kernel:
    """The kernel of the present network namespace. Raises KernelError."""
    from edged.kernel.linux import LinuxKernel

    return LinuxKernel()


@contextmanager
def open_kernel() -> Iterator[Kernel]:
    """The kernel for as long as a command looks at it; what is in it stays as it is."""
    kernel = make_kernel()
    try:
        yield kernel
    finally:
        kernel.close()
