"""The daemon: an imperative shell around `enforce`. `main.run` is the whole of it; each other module is one concern of it."""
