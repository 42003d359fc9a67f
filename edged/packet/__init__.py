"""What a packet looks like to a policy."""
