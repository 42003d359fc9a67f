"""Texts of captures and files, made harmless."""

from __future__ import annotations

from edged.config.problem import shown


def printable(text: str) -> str:
    """The text on one line, with what a terminal must not be sent escaped."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else shown(sign)[1:-1] for sign in text)
