"""`python -m edged` is the command edged."""

from __future__ import annotations

from edged.cli import main

main()
