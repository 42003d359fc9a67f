"""Who may read the metrics page: certificates and keys, and the hashes of passwords. What is secret in them goes no further."""
