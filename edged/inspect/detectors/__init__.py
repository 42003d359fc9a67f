"""What recognises protocols, a family a file. A detector looks at one sight of a flow and keeps nothing."""
