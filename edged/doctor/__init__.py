"""What this kernel and machine can do, and what edged does where something is missing: one finding for each question."""
