"""The control socket itself, made before anything else so that a second daemon on the host ends before it touches the kernel."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from edged.errors import EdgedError, Refused

_BACKLOG = 1024  # beyond it the kernel turns connections away (EAGAIN) until some were taken


def listen(path: Path) -> socket.socket:
    """The control socket, bound, for every user to connect to; one that a dead daemon left is replaced.

    Raises Refused where a daemon answers on it, EdgedError where it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        made.bind(os.fspath(path))
        path.chmod(0o666)  # whoever connects is told by the kernel, and refused with a word
        made.listen(_BACKLOG)
        made.setblocking(False)  # noqa: FBT003  positional only
    except OSError as error:
        made.close()
        raise EdgedError(f"cannot listen on the control socket {path}: {error.strerror}; nothing was changed") from error
    except EdgedError:
        made.close()
        raise
    return made


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """As `listen`; at its end the socket is closed, and its path removed unless it is a later daemon's by then."""
    with contextlib.closing(listen(path)) as control:
        made = path.stat().st_ino
        try:
            yield control
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == made:
                    path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EdgedError(f"{path} is there and is no socket; nothing was changed. Remove it, or choose another `control`.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                return
    raise Refused(
        f"an edged daemon runs already and answers on {path}; this one ends, nothing was changed. "
        "To take new files: edged reload. To start anew: systemctl restart edged."
    )
