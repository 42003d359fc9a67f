"""The control socket: HTTP and JSON on a unix socket, between the daemon and the commands."""
