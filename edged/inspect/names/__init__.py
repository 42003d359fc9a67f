"""Host names in the clear: TLS, QUIC, HTTP and DNS, a protocol a file; bytes in, a name out."""
