"""The sections of edged.yaml."""

from __future__ import annotations

from enum import Enum


class PoolName(str, Enum):
    """How the addresses of a pool are assigned."""

    DYNAMIC = "dynamic"
    STATIC = "static"
