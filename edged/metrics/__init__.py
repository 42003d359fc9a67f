"""The Prometheus page: interface version 1, section 4."""
