"""Formats of values on the wire: strict JSON, typed values, Retry-After."""
