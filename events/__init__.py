"""What happened: one frozen model per fact, by subject."""
