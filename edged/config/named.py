"""The one path that a command or a start needs of edged.yaml before the file is read in full, or while it is wrong."""

from __future__ import annotations

import re


def named_path(content: bytes, key: str) -> str | None:
    """The value of a key that begins a line of edged.yaml; None where no line does.

    Nothing is parsed or validated: a daemon runs on while its files are broken, and its socket and its last good configuration
    must be found still. A file in flow style (`{...}`) names nothing here; `--socket` helps then.
    """
    line = rb"""^%s:[ \t]+(["']?)([^"'#\r\n]+?)\1[ \t]*(?:#.*)?\r?$""" % re.escape(key.encode())
    found = re.search(line, content, re.MULTILINE)
    return found[2].decode(errors="surrogateescape") if found else None
