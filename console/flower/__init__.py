"""Flower with login, security headers and the pages of the fleet."""
