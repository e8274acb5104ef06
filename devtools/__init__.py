"""Tools that are not deployed with the fleet: test double, demo, fault drill, local servers."""
