"""Wiring of the service: settings, URLs, ASGI, logging, middleware, health. No domain logic."""

__version__ = "0.1.0"
