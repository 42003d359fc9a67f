"""A capture of yesterday's traffic against today's rules: packets from files, and what the policy would have done with them."""
