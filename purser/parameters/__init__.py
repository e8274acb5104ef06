"""Types of the values that a policy sets: bounds, limits on money, names of records."""
