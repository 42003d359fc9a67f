"""Fetching a file by https in a process of its own, which has no privilege and no way to the kernel's ruleset.

The daemon uses `client` alone. The rest is that process: it gives up what it could do (`privileges`, `confine`), and only then
speaks to the network (`download`). What a list's server sends is first touched where it can do the least harm.
"""
