"""The one path that a command or a start needs of edged.yaml before the file is read in full, or while it is wrong."""

from __future__ import annotations

import re


def named_path(content: bytes, key: str) -> str | None:
    """The value of a key that begins a line of edged.yaml; None where no line does.

    Nothing is parsed or validated: a daemon runs on while its files are broken, and its socket and its last good configuration
    must be found still. A file in flow style (`{...}`) names nothing here; `--socket` helps then.
    """
    line = rb"""^%s:[ \t]+(["']?)([^"'#{\r\n][^"'#\r\n]*?)\1[ \t]*(?:#.*)?\r?$""" % re.escape(key.encode())
    return _found(line, content)


def named_socket(content: bytes) -> str | None:
    """The control socket's path: that of `control` or, where it is a section, of `path` in it; as `named_path` otherwise."""
    value = rb"""(["']?)([^"'#,{}\r\n]+?)\1[ \t]*(?:[,}].*|#.*)?\r?$"""
    in_braces = rb"^control:[ \t]+\{(?:[^#}\r\n]*,)?[ \t]*path:[ \t]+" + value
    in_lines = rb"^control:[ \t]*(?:#.*)?\r?\n(?:(?:[ \t]+.*)?\r?\n)*?[ \t]+path:[ \t]+" + value
    return named_path(content, "control") or _found(in_braces, content) or _found(in_lines, content)


def _found(pattern: bytes, content: bytes) -> str | None:
    found = re.search(pattern, content, re.MULTILINE)
    return found[2].decode(errors="surrogateescape") if found else None
