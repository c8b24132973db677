"""Upstreams that send exactly what a test wants, and how a test asks the service in front of them."""
