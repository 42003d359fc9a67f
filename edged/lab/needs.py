"""What the lab needs of the machine, asked for before anything is built."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from edged.errors import EdgedError, Refused

# the programs, and the Debian packages that bring them
PROGRAMS = {
    "ip": "iproute2",
    "setpriv": "util-linux",
    "curl": "curl",
    "aria2c": "aria2",
    "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base",
    "openssl": "openssl",
}


def check_needs() -> None:
    """Returns where the lab can run; raises Refused for who is not root, EdgedError naming all that is missing."""
    if os.geteuid() != 0:
        raise Refused("the lab makes network namespaces, for which it must be root: sudo edged lab. Nothing was changed")
    # `su` without a dash keeps an ordinary user's PATH, and dnsmasq is in /usr/sbin
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(PROGRAMS[program] for program in missing)
        raise EdgedError(f"the lab needs the programs {', '.join(missing)}; on Debian: apt-get install {packages}")
    if find_spec("aiosmtpd") is None:
        raise EdgedError(
            "the lab's mail server needs the Python package aiosmtpd: ./bootstrap lab installs it; else pip install 'edged[lab]'"
        )
