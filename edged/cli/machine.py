"""What commands look at of the machine beside the kernel's table: its interfaces, and what lets packets bypass every rule."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

from edged.interfaces import presence

if TYPE_CHECKING:
    from edged.kernel.bypasses import Bypass
    from edged.kernel.flowtables import Flowtable
    from edged.kernel.foreignrules import ForeignRules
    from edged.kernel.linux import LinuxKernel
    from edged.policies import Site


def present_interfaces() -> frozenset[str]:
    """The interfaces of the present network namespace."""
    return frozenset(name for _, name in socket.if_nameindex())


def absent_interfaces(site: Site) -> tuple[str, ...]:
    """The interfaces of the configuration that are not there."""
    return tuple(name for name, there in presence((*site.access, *site.upstream), present_interfaces()).items() if not there)


def foreign_flowtables() -> tuple[Flowtable, ...]:
    """All flowtables of the present network namespace; none is edged's. Raises KernelError."""
    with _linux() as kernel:
        return kernel.foreign_flowtables()


def foreign_rules() -> tuple[ForeignRules, ...]:
    """What other programs' rules do that bears on edged's, in the present network namespace. Raises KernelError."""
    with _linux() as kernel:
        return kernel.foreign_rules()


def bypasses(site: Site) -> tuple[Bypass, ...]:
    """What takes packets of the gateway's interfaces past the rules (semantics G-5). Raises KernelError."""
    from edged.kernel.bypasses import bypasses as found

    with _linux() as kernel:
        return found(kernel, (*site.access, *site.upstream))


def _linux() -> closing[LinuxKernel]:
    from edged.kernel.linux import LinuxKernel

    return closing(LinuxKernel())
