"""When a control or a watch is due."""
