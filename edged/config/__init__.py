"""Configuration: YAML with positions in, typed and validated sections out."""
