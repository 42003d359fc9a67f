"""How figures look on a terminal."""

from __future__ import annotations

from rich.table import Table

_BINARY = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DECIMAL = ((10**9, "gbit"), (10**6, "mbit"), (10**3, "kbit"))


def columns(left: tuple[str, ...] = (), right: tuple[str, ...] = (), last: tuple[str, ...] = ()) -> Table:
    """An empty table: words to the left, numbers to the right, and behind them what may be longer than a line."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    for name in last:
        table.add_column(name, overflow="fold")
    return table


def size(octets: float) -> str:
    """A volume: `723.3 KiB`."""
    for unit, word in _BINARY:
        if octets >= unit:
            return f"{octets / unit:.1f} {word}"
    return f"{octets:.0f} B"


def rate(bits: float) -> str:
    """Bits a second, in the units of the files: `7.95mbit`."""
    for unit, word in _DECIMAL:
        if bits >= 0.9995 * unit:  # what three digits round up
            return f"{bits / unit:.3g}{word}" if bits < 1000 * unit else f"{bits / unit:.0f}{word}"
    return f"{bits:.0f}bit"
