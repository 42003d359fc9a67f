"""Packets: from the bytes on a link to what policies and classification look at."""
