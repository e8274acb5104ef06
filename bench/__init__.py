"""What the fleet costs, measured."""
