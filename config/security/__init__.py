"""Keys, users and senders."""
