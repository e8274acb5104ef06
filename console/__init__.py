"""The door for people: the command and the pages."""
