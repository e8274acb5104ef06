"""What to do: one file per control, one file per automation; pure."""
