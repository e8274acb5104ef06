"""The machine room, where everything meets and happens."""
