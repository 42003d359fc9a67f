"""Who is capped: from what the kernel saw to leases, pure; the clock and all that was seen come in as arguments."""
