"""What systemd and the daemon tell each other: sd_notify(3) and sd_listen_fds(3), on the standard library alone.

READY and STATUS go one way, the watchdog's heartbeat with them. The socket that owns the table is handed over for safe keeping
(FDSTORE) and comes back at the next start, so that the table has an owner while no daemon runs. Without systemd nothing of this
happens, and nothing depends on it.
"""

from __future__ import annotations

import array
import logging
import os
import socket
from collections.abc import MutableMapping

_log = logging.getLogger(__name__)

OWNER = "nft"  # the name under which systemd keeps the owning socket
_FIRST = 3  # SD_LISTEN_FDS_START


class Systemd:
    """The service manager as this process sees it; every method does nothing where there is none."""

    def __init__(self, environment: MutableMapping[str, str], pid: int) -> None:
        """Reads, and removes, what systemd put into the environment."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if self._address:
            # kept: where the process has no descriptor left, the watchdog must hear of it all the same
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # noqa: FBT003  positional only
        self.watchdog_seconds = _watchdog(environment, pid)
        self._inherited = _inherited(environment, pid)

    @property
    def present(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def take_owner(self) -> int | None:
        """The descriptor of the owning socket that a former process left; whatever else was left is closed."""
        owner = None
        for name, descriptor in self._inherited:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  positional only
            if name == OWNER and owner is None:
                owner = descriptor
            else:
                os.close(descriptor)
        self._inherited = ()
        return owner

    def keep_owner(self, descriptor: int) -> None:
        """Have systemd keep the owning socket, in place of any that it kept before."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={OWNER}")
        # FDPOLL=0: else systemd drops the socket as soon as the kernel reports an error on it, such as a full buffer
        self._send(f"FDSTORE=1\nFDNAME={OWNER}\nFDPOLL=0", descriptor)

    def ready(self, status: str) -> None:
        """The policy is in force and was verified."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for people, shown by `systemctl status`."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """The watchdog's heartbeat."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        """The daemon is about to end."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def close(self) -> None:
        """Tell it nothing more."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, text: str, *descriptors: int) -> None:
        if self._socket is None:
            return
        # "@" stands for the leading NUL of an abstract address
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())] if descriptors else []
        try:
            self._socket.sendmsg([text.encode()], passed, 0, address)
        except OSError as error:
            _log.warning("cannot notify systemd (%s): %s", text.partition("\n")[0], error)


def _watchdog(environment: MutableMapping[str, str], pid: int) -> float | None:
    interval = environment.pop("WATCHDOG_USEC", "")
    addressee = environment.pop("WATCHDOG_PID", "")
    if not interval.isdecimal() or int(interval) == 0 or addressee not in {"", str(pid)}:
        return None
    return int(interval) / 1_000_000


def _inherited(environment: MutableMapping[str, str], pid: int) -> tuple[tuple[str, int], ...]:
    addressee, count, names = (environment.pop(key, "") for key in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    # for another process: an environment that was passed on by mistake
    if addressee != str(pid) or not count.isdecimal():
        return ()
    named = names.split(":") + [""] * int(count)
    return tuple((named[index], _FIRST + index) for index in range(int(count)))
