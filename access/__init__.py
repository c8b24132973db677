"""Who may call: API keys with their scopes and models, and the limits that each key or client address has.

This package knows nothing of calls, models or statistics. `chat` asks it who is calling, and whether the limits of that
caller leave room for one more call.
"""
