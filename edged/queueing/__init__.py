"""The queueing tree: one HTB a device with a pool of classes, what is observed of it, and the steps between. Pure."""
