"""Calls: how they come in, how they run, and what is kept of them."""
