"""When a control is due."""
