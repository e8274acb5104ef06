"""For whom the fleet runs: settings, policies, logging."""
