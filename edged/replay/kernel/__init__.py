"""Captures through the real kernel: a throw-away gateway in a network namespace, programmed as `edged apply` programs one."""

from edged.replay.kernel.engine import KernelEngine as KernelEngine
