"""Reads what the service gives: pages of the admin, errors, event streams, and lines of the log."""
