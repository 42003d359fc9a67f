"""Who is capped, and when that ends: pure control over what the kernel tells; the clock is an argument."""
