"""The throw-away gateway: subscribers, servers and the daemon in network namespaces, with real traffic."""
