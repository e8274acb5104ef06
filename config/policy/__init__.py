"""The policy file: sections, validation and defaults."""
