"""The bounds of the downloading process: what it may use up, and which sockets it may open.

Without capabilities the kernel already refuses its ruleset to this process. Under the unit, though, it has the daemon's user id,
which the control socket obeys; so no socket but those of TCP and UDP can be opened at all, neither netlink nor unix. The C
library then asks DNS itself, without nscd, and takes both families to be in use.
"""

from __future__ import annotations

import math
import resource
import socket

from edged.fetch.messages import MEBIBYTE, Order
from edged.privileges import bound
from edged.seccomp import only_sockets


def confine(order: Order) -> None:
    """Bounds what this process can use and which sockets it can open, for good. Raises NotGivenUp."""
    seconds = math.ceil(order.seconds)
    bound(
        {
            # past `largest` the download stops by itself; this holds where it does not
            resource.RLIMIT_FSIZE: order.largest + 4096,
            resource.RLIMIT_AS: 512 * MEBIBYTE,
            resource.RLIMIT_CPU: seconds + 5,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_NOFILE: 64,
            resource.RLIMIT_CORE: 0,
        }
    )
    only_sockets((socket.AF_INET, socket.AF_INET6))
