"""The pure core: the rule tree and what is made of it. No socket, no file, no clock in here."""
