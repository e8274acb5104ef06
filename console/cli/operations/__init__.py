"""Sub-commands for those who run the fleet."""
