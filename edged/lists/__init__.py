"""The blocklists in force: read from their files, judged by their guards, kept over restarts, asked where an address stands."""
