"""Working time: calendars, leave and expected hours."""
