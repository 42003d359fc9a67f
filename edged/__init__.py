"""edged: one typed edge policy for an ISP gateway, compiled to nftables and proved against the kernel."""

__version__ = "0.1.0"
