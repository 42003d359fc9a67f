"""What commands look at of the machine beside the kernel's table: its interfaces, and what lets packets bypass every rule."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from edged.interfaces import fits, presence

if TYPE_CHECKING:
    from edged.kernel.flowtables import Flowtable
    from edged.policies import Site


def present_interfaces() -> frozenset[str]:
    """The interfaces of the present network namespace."""
    return frozenset(name for _, name in socket.if_nameindex())


def absent_interfaces(site: Site) -> tuple[str, ...]:
    """The interfaces of the configuration that are not there."""
    return tuple(name for name, there in presence((*site.access, *site.upstream), present_interfaces()).items() if not there)


def foreign_flowtables() -> tuple[Flowtable, ...]:
    """All flowtables of the present network namespace; none is edged's. Raises KernelError."""
    from edged.kernel.linux import LinuxKernel

    with closing(LinuxKernel()) as kernel:
        return kernel.foreign_flowtables()


def bypasses(site: Site, flowtables: Iterable[Flowtable]) -> tuple[Flowtable, ...]:
    """The flowtables on the gateway's interfaces; flows in them meet no rule (semantics G-5)."""
    named = (*site.access, *site.upstream)
    return tuple(each for each in flowtables if any(fits(device, wanted) for device in each.devices for wanted in named))
