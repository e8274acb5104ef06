"""Messages on their way: inbox, delayed messages, reservations and delivery counts."""
