"""The Django project that puts the service together: settings, addresses, the ASGI application, logs, checks, health.

It has no domain logic. Calls are in `chat`, the engine is in `llm`, keys and limits are in `access`, and statistics are
in `stats`.
"""

__version__ = "0.1.0"
