"""Reading a list from the web in a process of its own, which can do nothing but that.

Decompression, character set, format: all that a stranger's bytes go through before they are numbers is done by a process without
capabilities, files, sockets or processes to gain. The daemon (`reader`) reads what it made of them: packed entries, checked
throughout, and an answer of one line. It is started for each list that was fetched, and gone when the list is read.
"""
